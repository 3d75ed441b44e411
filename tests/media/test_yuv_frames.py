"""A picture becomes a frame of BT.709's colours, at half the resolution in chroma."""

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from multitalk.media.yuv_frames import plane_of, yuv_frame


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_primaries_have_the_values_of_bt709(
    colour: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    frame = yuv_frame(np.full((6, 10, 3), colour, np.uint8))
    assert (frame.width, frame.height, frame.format.name) == (10, 6, "yuv420p")
    for number, level in enumerate(expected):
        assert np.abs(plane_of(frame, number).astype(int) - level).max() <= 1


@pytest.mark.parametrize("size", [(50, 98), (270, 480), (122, 64)])
def test_a_frame_is_that_of_ffmpeg_within_rounding(size: tuple[int, int]) -> None:
    across, down = np.meshgrid(np.linspace(0, 1, size[1]), np.linspace(0, 1, size[0]))
    ramps = np.stack([across, down, 1 - across * down], -1)
    picture = np.round(255 * ramps).astype(np.uint8)
    ours = yuv_frame(picture)
    theirs = VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    assert (ours.colorspace, ours.color_range) == (theirs.colorspace, theirs.color_range)
    for number in range(3):
        off = plane_of(ours, number).astype(int) - plane_of(theirs, number)
        assert np.abs(off).max() <= 2
        assert abs(off.mean()) < 0.5


def test_a_part_of_a_larger_picture_is_taken_as_it_is() -> None:
    picture = np.arange(20 * 30 * 3).astype(np.uint8).reshape(20, 30, 3)
    part = picture[2:14, 4:24]
    for number in range(3):
        np.testing.assert_array_equal(
            plane_of(yuv_frame(part), number), plane_of(yuv_frame(part.copy()), number)
        )
