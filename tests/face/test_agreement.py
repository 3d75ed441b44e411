"""Looks at a place must agree the more, the less sure it is that there is a face."""

from itertools import pairwise

import numpy as np
import pytest

from multitalk.face import mesh
from multitalk.face.agreement import KNOWN, SURE, UNSEEN, UNSURE, VERY_SURE, Limits, limits_of
from multitalk.face.points import FaceLandmarks

LIMITS = Limits(spread=0.02, front=0.01, side=0.03)


def turned_face(yaw: float, *, size: float = 100, spread: float) -> FaceLandmarks:
    points = np.zeros((mesh.NUM_POINTS, 3))
    points[[mesh.LEFT_CHEEK, mesh.LEFT_EYE_OUTER], 0] = 0.4
    points[[mesh.RIGHT_CHEEK, mesh.RIGHT_EYE_OUTER], 0] = -0.4
    points[mesh.FOREHEAD_TOP, 1], points[mesh.CHIN, 1] = -0.5, 0.5
    cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    face = FaceLandmarks((size * points @ turn.T).astype(np.float32), spread)
    assert face.yaw_degrees == pytest.approx(yaw, abs=0.1)
    return face


@pytest.mark.parametrize(
    ("score", "limits"),
    [(0.95, VERY_SURE), (0.8, VERY_SURE), (0.7, SURE), (0.69, UNSURE), (0.6, UNSURE), (0, UNSEEN)],
)
def test_a_surer_detector_lets_the_looks_be_further_apart(score: float, limits: Limits) -> None:
    assert limits_of(score) == limits


def test_limits_never_tighten_as_the_detector_becomes_surer() -> None:
    falling = (VERY_SURE, SURE, UNSURE, UNSEEN)
    for surer, other in pairwise(falling):
        assert surer.front >= other.front
        assert surer.spread >= other.spread
        assert surer.side >= other.side
        assert surer.presence <= other.presence
    assert KNOWN.presence == 0


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("yaw", "size", "limit"),
    [
        (0, 100, LIMITS.front),
        (20, 100, LIMITS.front),
        (0, 60, LIMITS.spread),
        (30, 100, LIMITS.spread),
        (44, 30, LIMITS.spread),
        (50, 30, LIMITS.side),
        (70, 200, LIMITS.side),
    ],
)
def test_large_faces_from_the_front_agree_most_and_profiles_least(
    yaw: float, size: float, limit: float, sign: int
) -> None:
    assert LIMITS.hold(turned_face(sign * yaw, size=size, spread=limit))
    assert not LIMITS.hold(turned_face(sign * yaw, size=size, spread=limit + 0.001))


def test_what_is_above_the_widest_limit_is_no_face_however_it_is_turned() -> None:
    assert LIMITS.widest == LIMITS.side
    for yaw in range(-80, 81, 20):
        assert not LIMITS.hold(turned_face(yaw, size=40, spread=LIMITS.widest + 0.001))
