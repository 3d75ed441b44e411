"""The label in a corner is readable on any ground, at any size, and is nowhere else."""

from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame

from multitalk.media.corner_label import CornerLabel
from multitalk.media.video import VideoWriter, read_frames
from multitalk.media.yuv_frames import plane_of

SIZES = [(1280, 720), (720, 720), (512, 512), (256, 256), (96, 64), (16, 16), (2, 2)]


def labelled(width: int, height: int, ground: int, text: str = "AI") -> np.ndarray:
    """Luma of a grey frame with a label, uint8 [H, W]."""
    frame = VideoFrame(width, height, "yuv420p")
    frame.time_base = Fraction(1, 25)
    plane_of(frame, 0)[:] = ground
    for chroma in (1, 2):
        plane_of(frame, chroma)[:] = 90
    CornerLabel(text, width=width, height=height).apply(frame)
    return plane_of(frame, 0).copy()


@pytest.mark.parametrize("ground", [16, 128, 235])
@pytest.mark.parametrize(("width", "height"), SIZES[:4])
def test_text_and_plate_differ_on_every_ground(width, height, ground):
    luma = labelled(width, height, ground)
    changed = np.argwhere(luma != ground)
    top, left = changed.min(0)
    bottom, right = changed.max(0)
    assert max(top, left) < 32
    assert bottom < 0.15 * height
    assert right < 0.2 * width
    part = luma[top : bottom + 1, left : right + 1]
    assert part.max() > 225  # white letters
    assert np.median(part) < 105  # on a dark plate
    text = np.argwhere(part > 200)
    assert text[:, 0].max() - text[:, 0].min() >= 8  # pixels: can be read


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("text", ["AI", "I", "gjpqy", "AI-generated, not a film"])
def test_every_text_fits_into_every_frame(width, height, text):
    assert labelled(width, height, 100, text).shape == (height, width)
    if width >= 96:
        assert (labelled(width, height, 100, text)[:, -2:] == 100).all()


def test_a_video_carries_its_label_in_every_frame(tmp_path):
    frames = np.full((3, 128, 128, 3), 120, np.uint8)
    pictures = []
    for label in (None, "AI"):
        path = tmp_path / f"{label}.mp4"
        with VideoWriter(path, width=128, height=128, soundtrack=None, label=label) as writer:
            writer.append(frames)
        pictures.append(np.stack(list(read_frames(path))).astype(int))
    difference = np.abs(pictures[1] - pictures[0]).max(-1)
    assert (difference[:, :24, :40].max((1, 2)) > 60).all()
    assert difference[:, 64:, :].max() < 8
    assert difference[:, :, 80:].max() < 8
    assert (frames == 120).all()
