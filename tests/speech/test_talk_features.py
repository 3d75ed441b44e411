import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.speech.talk_features import (
    BLOCK_ROWS,
    CONTEXT_ROWS,
    FADE_ROWS,
    LINGER_ROWS,
    REACH_ROWS,
    WHOLE_ROWS,
    TalkFeatures,
    presence,
)


class Ear:
    """Rows that are their own numbers, and a note of what was heard at once."""

    def __init__(self):
        self.heard = []

    def __call__(self, start, stop):
        self.heard.append((start, stop))
        return np.arange(start, stop, dtype=np.float32)[:, None, None]


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 200), st.integers(0, 20))
def test_rows_are_those_of_the_talk_however_they_are_asked_for(num_rows, size, overlap):
    features = TalkFeatures(Ear(), num_rows)
    assert len(features) == num_rows
    for start in range(0, num_rows, size):
        asked = slice(max(0, start - overlap), start + size)
        expected = np.arange(num_rows)[asked]
        np.testing.assert_array_equal(features[asked][:, 0, 0], expected)


@pytest.mark.parametrize("num_rows", [1, 81, WHOLE_ROWS])
def test_a_normal_talk_is_heard_at_once(num_rows):
    ear = Ear()
    features = TalkFeatures(ear, num_rows)
    for start in range(0, num_rows, 56):
        features[start : start + 81]
    assert ear.heard == [(0, num_rows)]


def test_a_long_talk_is_heard_in_blocks_with_context_on_both_sides():
    ear, num_rows = Ear(), 90_000  # an hour
    features = TalkFeatures(ear, num_rows)
    assert ear.heard == []
    features[0:81]
    assert ear.heard == [(0, BLOCK_ROWS + CONTEXT_ROWS)]
    for start in range(0, num_rows, 56):
        features[max(0, start - 2) : start + 83]
        assert len(features._blocks) <= 2
    assert len(ear.heard) == num_rows // BLOCK_ROWS
    for block, (start, stop) in enumerate(ear.heard):
        assert start == max(0, block * BLOCK_ROWS - CONTEXT_ROWS)
        assert stop == min((block + 1) * BLOCK_ROWS + CONTEXT_ROWS, num_rows)
        assert stop - start <= WHOLE_ROWS


def frames(heard):
    """A voice whose n-th frame is heard or not; one sample in it is enough."""
    speech = np.zeros((len(heard), 640), np.float32)
    speech[np.array(heard), 123] = -0.5
    return speech.ravel()


def test_a_pause_is_silence_at_first_then_fades_to_nobody():
    heard = np.zeros(100, bool)
    heard[50] = True
    present = presence(frames(heard), 0, 100)
    assert present.shape == (100, 1, 1)
    after = present[50:, 0, 0]
    np.testing.assert_array_equal(after[: LINGER_ROWS + 1], 1)
    assert (np.diff(after[LINGER_ROWS : REACH_ROWS + 2]) < 0).all()
    np.testing.assert_array_equal(after[REACH_ROWS + 1 :], 0)
    np.testing.assert_array_equal(present[1:51, 0, 0], after[::-1])


def test_short_pauses_are_speech():
    heard = np.zeros(100, bool)
    heard[:20], heard[20 + 2 * LINGER_ROWS :] = True, True
    np.testing.assert_array_equal(presence(frames(heard), 0, 100), 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 30).map(lambda n: n == 0), min_size=1, max_size=120), st.data())
def test_presence_of_a_part_is_that_of_the_whole(heard, data):
    start = data.draw(st.integers(0, len(heard) - 1))
    stop = data.draw(st.integers(start + 1, len(heard)))
    speech = frames(heard)[:-7]  # the last frame need not be full
    away = np.abs(np.arange(len(heard))[:, None] - np.flatnonzero(heard)).min(axis=1, initial=999)
    expected = np.clip((REACH_ROWS + 1 - away) / (FADE_ROWS + 1), 0, 1)[start:stop]
    np.testing.assert_allclose(presence(speech, start, stop)[:, 0, 0], expected, atol=1e-6)


def test_features_fade_where_nobody_speaks():
    heard = np.zeros(60, bool)
    heard[:10] = True
    speech = frames(heard)
    features = TalkFeatures(Ear(), 60, lambda start, stop: presence(speech, start, stop))[:]
    np.testing.assert_array_equal(features[: 10 + LINGER_ROWS, 0, 0], np.arange(10 + LINGER_ROWS))
    assert not features[10 + REACH_ROWS :].any()
