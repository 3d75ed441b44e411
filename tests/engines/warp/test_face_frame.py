import numpy as np
import pytest

from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.face.landmarks import FaceLandmarks


def test_a_heads_frame_turns_with_the_head() -> None:
    points = np.random.default_rng(1).normal(size=(478, 3)).astype(np.float32) * 50
    frame = HeadFrame.of(FaceLandmarks(points))
    np.testing.assert_allclose(frame.axes @ frame.axes.T, np.eye(3), atol=1e-5)
    angle = np.radians(20)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    turned = HeadFrame.of(FaceLandmarks((points @ turn.T + 7).astype(np.float32)))
    np.testing.assert_allclose(turned.local, frame.local, atol=1e-2)
    assert turned.height == pytest.approx(frame.height)
