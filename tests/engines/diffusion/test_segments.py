import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.engines.diffusion.segments import (
    AUDIO_REACH,
    SegmentLengths,
    extended,
    num_segments,
    segments,
    speech_windows,
    window_rows,
)

talks = st.integers(1, 5000)


@st.composite
def lengths(draw: st.DrawFn) -> SegmentLengths:
    conditioning = draw(st.integers(0, 10))
    segment = draw(st.integers(conditioning + 1, 30))
    return SegmentLengths(4 * segment + 1, 4 * conditioning + 1)


@settings(deadline=None)
@given(talks, lengths())
def test_each_frame_is_new_in_exactly_one_segment(num_frames, lengths):
    new = [frame for segment in segments(num_frames, lengths) for frame in segment.new]
    assert new == list(range(num_frames))


@settings(deadline=None)
@given(talks, lengths())
def test_every_segment_is_as_long_and_shows_its_new_frames(num_frames, lengths):
    windows = list(segments(num_frames, lengths))
    assert len(windows) == num_segments(num_frames, lengths)
    for index, segment in enumerate(windows):
        assert segment.index == index
        assert segment.last == (segment is windows[-1])
        assert segment.start == index * lengths.stride
        assert segment.stop - segment.start == lengths.segment_frames
        inside = range(segment.start, segment.stop)
        assert inside[segment.new_in_window] == segment.new
        assert segment.new_in_window.start == (0 if index == 0 else lengths.conditioning_frames)


@settings(deadline=None)
@given(st.integers(1, 200), lengths())
def test_whatever_a_window_hears_beyond_the_speech_is_silence(num_rows, lengths):
    speech = np.arange(1, num_rows + 1, dtype=np.float32)[:, None, None]
    for segment in segments(num_rows, lengths):
        heard = speech_windows(extended(speech, segment, after="silence"), segment)[..., 0, 0]
        wanted = np.arange(segment.start, segment.stop)[:, None] + np.arange(-2, 3) + 1
        wanted = np.where(wanted > num_rows, 0, np.maximum(wanted, 1))  # the first row is repeated
        np.testing.assert_array_equal(heard, wanted)


def test_windows_of_a_long_talk_hear_the_same_rows_moved_along():
    _, second, *later = segments(1000, SegmentLengths(21, 5))
    for segment in later:
        moved = window_rows(segment, 2000) - window_rows(second, 2000)
        np.testing.assert_array_equal(moved, segment.start - second.start)


def test_reversed_speech_follows_only_where_the_speech_ends():
    speech = np.arange(20, dtype=np.float32)[:, None, None]
    first, second = segments(20, SegmentLengths(13, 5))
    assert extended(speech, first, after="reversed") is speech
    assert extended(speech, second, after="reversed")[20:, 0, 0].tolist() == [19, 18, 17, 16]
    assert second.stop + AUDIO_REACH < 24


def test_reversed_speech_follows_in_the_last_window_only():
    speech = np.arange(15, dtype=np.float32)[:, None, None]
    heard = [
        extended(speech, segment, after="reversed")[..., 0, 0].tolist()
        for segment in segments(30, SegmentLengths(13, 5))
    ]
    assert heard[:-1] == [list(range(15))] * 3
    assert heard[-1] == [*range(15), *reversed(range(15))]


@pytest.mark.parametrize(("segment", "conditioning"), [(82, 25), (81, 24), (25, 25), (81, 0)])
def test_lengths_that_do_not_fit_the_latents_are_refused(segment, conditioning):
    with pytest.raises(ValueError, match="frames"):
        SegmentLengths(segment, conditioning)
