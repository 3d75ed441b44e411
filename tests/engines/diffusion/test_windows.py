import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.engines.diffusion.resolution_buckets import BUCKETS
from multitalk.engines.diffusion.windows import (
    WindowLengths,
    feature_rows,
    frame_features,
    num_windows,
    talk_windows,
)

talks = st.integers(1, 5000)


@st.composite
def lengths(draw: st.DrawFn) -> WindowLengths:
    conditioning = draw(st.integers(0, 10))
    window = draw(st.integers(conditioning + 1, 30))
    shortest = draw(st.none() | st.integers(0, window).map(lambda number: 4 * number + 1))
    return WindowLengths(4 * window + 1, 4 * conditioning + 1, shortest)


@settings(deadline=None)
@given(talks, lengths())
def test_each_frame_is_new_in_exactly_one_window(num_frames, lengths):
    new = [frame for window in talk_windows(num_frames, lengths) for frame in window.new]
    assert new == list(range(num_frames))


@settings(deadline=None)
@given(talks, lengths())
def test_every_window_is_as_long_and_shows_its_new_frames(num_frames, lengths):
    windows = list(talk_windows(num_frames, lengths))
    assert len(windows) == num_windows(num_frames, lengths)
    for index, window in enumerate(windows):
        assert window.index == index
        assert window.is_last == (window is windows[-1])
        assert window.start == index * lengths.stride
        if not window.is_last or lengths.shortest_frames is None:
            assert window.num_frames == lengths.window_frames
        inside = range(window.start, window.stop)
        assert inside[window.new_in_window] == window.new
        assert window.new_in_window.start == (0 if index == 0 else lengths.conditioning_frames)


@settings(deadline=None)
@given(talks, lengths().filter(lambda found: found.shortest_frames is not None))
def test_the_last_window_has_no_latent_that_it_does_not_need(num_frames, lengths):
    *_, last = talk_windows(num_frames, lengths)
    assert last.num_frames % 4 == 1
    assert lengths.shortest_frames <= last.num_frames <= lengths.window_frames
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
def test_published_lengths_end_with_a_short_window(num_frames, conditioning, window_frames):
    lengths = WindowLengths.ending_short(81, conditioning)
    assert [window.num_frames for window in talk_windows(num_frames, lengths)] == window_frames


@settings(deadline=None)
@given(st.integers(1, 200), lengths())
def test_whatever_a_window_hears_beyond_the_speech_is_silence(num_rows, lengths):
    speech = np.arange(1, num_rows + 1, dtype=np.float32)[:, None, None]
    for window in talk_windows(num_rows, lengths):
        heard = frame_features(speech, feature_rows(window, num_rows))[..., 0, 0]
        wanted = np.arange(window.start, window.stop)[:, None] + np.arange(-2, 3) + 1
        wanted = np.where(wanted > num_rows, 0, np.maximum(wanted, 1))  # the first row is repeated
        np.testing.assert_array_equal(heard, wanted)


def test_windows_of_a_long_talk_hear_the_same_rows_moved_along():
    _, second, *later = talk_windows(1000, WindowLengths(21, 5))
    for window in later:
        rows, before = (feature_rows(shown, 2000) for shown in (window, second))
        np.testing.assert_array_equal(rows - before, window.start - second.start)


def test_a_window_asks_a_track_for_what_it_hears_and_no_more():
    asked = []

    class Track:
        def __len__(self):
            return 30

        def __getitem__(self, rows):
            asked.append((rows.start, rows.stop))
            return np.zeros((rows.stop - rows.start, 1, 1), np.float32)

    for window in talk_windows(50, WindowLengths(13, 5)):
        frame_features(Track(), feature_rows(window, 30))
    assert asked == [(0, 15), (6, 23), (14, 30), (22, 30), (29, 30), (29, 30)]


@pytest.mark.parametrize(("window", "conditioning"), [(82, 25), (81, 24), (25, 25), (81, 0)])
def test_lengths_that_do_not_fit_the_latents_are_refused(window, conditioning):
    with pytest.raises(ValueError, match="frames"):
        WindowLengths(window, conditioning)


@pytest.mark.parametrize("shortest", [0, 42, 85])
def test_a_shortest_length_that_no_window_can_have_is_refused(shortest):
    with pytest.raises(ValueError, match="shortest_frames"):
        WindowLengths(81, 25, shortest)


def test_a_window_of_any_length_has_tokens_that_eight_processes_share_evenly():
    sizes = {size for sizes in BUCKETS.values() for size in sizes.values()}
    assert all(height // 16 * (width // 16) % 8 == 0 for height, width in sizes)
