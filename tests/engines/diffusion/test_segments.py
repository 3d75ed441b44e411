import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.engines.diffusion.buckets import BUCKETS
from multitalk.engines.diffusion.segments import (
    SegmentLengths,
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
    shortest = draw(st.none() | st.integers(0, segment).map(lambda number: 4 * number + 1))
    return SegmentLengths(4 * segment + 1, 4 * conditioning + 1, shortest)


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
        if not segment.last or lengths.shortest_frames is None:
            assert segment.num_frames == lengths.segment_frames
        inside = range(segment.start, segment.stop)
        assert inside[segment.new_in_window] == segment.new
        assert segment.new_in_window.start == (0 if index == 0 else lengths.conditioning_frames)


@settings(deadline=None)
@given(talks, lengths().filter(lambda found: found.shortest_frames is not None))
def test_the_last_segment_has_no_latent_that_it_does_not_need(num_frames, lengths):
    *_, last = segments(num_frames, lengths)
    assert last.num_frames % 4 == 1
    assert lengths.shortest_frames <= last.num_frames <= lengths.segment_frames
    assert last.stop >= num_frames
    if last.num_frames > lengths.shortest_frames:
        assert last.stop - num_frames < 4


@pytest.mark.parametrize(
    ("num_frames", "conditioning", "window_frames"),
    [
        (1, 25, [41]),
        (50, 25, [53]),
        (81, 25, [81]),
        (82, 25, [81, 41]),
        (250, 25, [81, 81, 81, 81, 41]),
        (289, 25, [81, 81, 81, 81, 65]),
        (250, 9, [81, 81, 81, 41]),
        (280, 9, [81, 81, 81, 65]),
    ],
)
def test_published_lengths_end_with_a_short_segment(num_frames, conditioning, window_frames):
    lengths = SegmentLengths.ending_short(81, conditioning)
    assert [segment.num_frames for segment in segments(num_frames, lengths)] == window_frames


@settings(deadline=None)
@given(st.integers(1, 200), lengths())
def test_whatever_a_window_hears_beyond_the_speech_is_silence(num_rows, lengths):
    speech = np.arange(1, num_rows + 1, dtype=np.float32)[:, None, None]
    for segment in segments(num_rows, lengths):
        heard = speech_windows(speech, window_rows(segment, num_rows))[..., 0, 0]
        wanted = np.arange(segment.start, segment.stop)[:, None] + np.arange(-2, 3) + 1
        wanted = np.where(wanted > num_rows, 0, np.maximum(wanted, 1))  # the first row is repeated
        np.testing.assert_array_equal(heard, wanted)


def test_windows_of_a_long_talk_hear_the_same_rows_moved_along():
    _, second, *later = segments(1000, SegmentLengths(21, 5))
    for segment in later:
        rows, before = (window_rows(window, 2000) for window in (segment, second))
        np.testing.assert_array_equal(rows - before, segment.start - second.start)


def test_a_window_asks_a_track_for_what_it_hears_and_no_more():
    asked = []

    class Track:
        def __len__(self):
            return 30

        def __getitem__(self, rows):
            asked.append((rows.start, rows.stop))
            return np.zeros((rows.stop - rows.start, 1, 1), np.float32)

    for segment in segments(50, SegmentLengths(13, 5)):
        speech_windows(Track(), window_rows(segment, 30))
    assert asked == [(0, 15), (6, 23), (14, 30), (22, 30), (29, 30), (29, 30)]


@pytest.mark.parametrize(("segment", "conditioning"), [(82, 25), (81, 24), (25, 25), (81, 0)])
def test_lengths_that_do_not_fit_the_latents_are_refused(segment, conditioning):
    with pytest.raises(ValueError, match="frames"):
        SegmentLengths(segment, conditioning)


@pytest.mark.parametrize("shortest", [0, 42, 85])
def test_a_shortest_length_that_no_window_can_have_is_refused(shortest):
    with pytest.raises(ValueError, match="shortest_frames"):
        SegmentLengths(81, 25, shortest)


def test_a_window_of_any_length_has_tokens_that_eight_processes_share_evenly():
    sizes = {size for sizes in BUCKETS.values() for size in sizes.values()}
    assert all(height // 16 * (width // 16) % 8 == 0 for height, width in sizes)
