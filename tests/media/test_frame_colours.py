"""Frames of videos in other colour spaces come out as the sRGB that they were made from."""

import av
import coloured
import numpy as np
import pytest

from multitalk.media.footage import FootageReader
from multitalk.media.video import read_frames

LEVELS = 3
COLOURS = ((200, 140, 110), (255, 255, 255), (190, 60, 50), (40, 50, 60))


def squares(size):
    """Four colours, one above the other, uint8 [H, W, 3]."""
    rows = np.array(COLOURS, np.uint8)[:, None].repeat(size[1] // 4, axis=0)
    return rows.repeat(size[0], axis=1)


def video(path, *, size=(64, 64), pixels="yuv420p10le", said=(2, 2, 2), made=None, span=1):
    """A video of four colours.

    Args:
        said: Primaries, transfer and matrix that it names.
        made: Those by which it is made, where it names none.
        span: 1: range of video; 2: full.
    """
    primaries, transfer, matrix = made or said
    curve = transfer if transfer in (16, 18) else 13  # SDR is seen as it is coded
    values = coloured.coded(squares(size), primaries, curve, 16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = said
        context.color_range = span
        frame = coloured.video_frame(values / 65535, matrix, pixels, full=span == 2)
        for number in range(3):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def off_by(path):
    """The largest difference in the middle of a colour, in levels."""
    with FootageReader(path, field="f", max_pixels=10**7, max_seconds=9) as footage:
        seen = footage.at(0).astype(int)
    np.testing.assert_array_equal(next(iter(read_frames(path))), seen)
    height, width = seen.shape[:2]
    middles = [height * (2 * number + 1) // 8 for number in range(4)]
    return int(np.abs(seen[middles, width // 2] - np.array(COLOURS)).max())


@pytest.mark.parametrize("said", [(9, 14, 9), (12, 1, 1), (12, 13, 1), (6, 6, 6), (1, 1, 1)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("span", [1, 2])
def test_what_a_video_says_is_believed(tmp_path, said, pixels, span):
    assert off_by(video(tmp_path / "a.mp4", said=said, pixels=pixels, span=span)) <= LEVELS


@pytest.mark.parametrize("said", [(9, 16, 9), (9, 18, 9), (12, 16, 9)])
@pytest.mark.parametrize("span", [1, 2])
def test_hdr_is_toned_down(tmp_path, said, span):
    assert off_by(video(tmp_path / "a.mp4", said=said, span=span)) <= LEVELS


@pytest.mark.parametrize(
    ("size", "made"),
    [((320, 240), (1, 1, 5)), ((1280, 720), (1, 1, 1)), ((720, 1280), (1, 1, 1))],
    ids=str,
)
def test_what_says_nothing_is_of_its_size_s_time(tmp_path, size, made):
    path = video(tmp_path / "a.mp4", size=size, pixels="yuv420p", made=made)
    assert off_by(path) <= LEVELS


def test_wide_primaries_without_a_matrix_have_their_own(tmp_path):
    path = video(tmp_path / "a.mp4", said=(9, 16, 2), made=(9, 16, 9))
    assert off_by(path) <= LEVELS


def test_a_matrix_without_primaries_is_believed(tmp_path):
    path = video(tmp_path / "a.mp4", said=(1, 1, 9))
    assert off_by(path) <= LEVELS
