import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.speech import talk_features
from multitalk.speech.talk_features import (
    BLOCK_ROWS,
    CONTEXT_ROWS,
    FADE_ROWS,
    LINGER_ROWS,
    REACH_ROWS,
    WHOLE_ROWS,
    NormalizedVoice,
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


def noise(num_samples, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 0.1, num_samples).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 999, 1000, 1001, 3456])
def test_read_in_blocks_it_has_the_mean_and_variance_of_the_whole(monkeypatch, num_samples):
    monkeypatch.setattr(talk_features, "BLOCK_SAMPLES", 1000)
    speech = noise(num_samples)
    expected = (speech - speech.mean(dtype=np.float64)) / np.sqrt(
        speech.var(dtype=np.float64) + 1e-7
    )
    heard = NormalizedVoice(speech)
    parts = [heard.samples(at, min(at + 70, num_samples)) for at in range(0, num_samples, 70)]
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-6)


def test_zeros_follow_the_voice():
    speech = noise(1000)
    heard = NormalizedVoice(speech, 1280)
    np.testing.assert_array_equal(heard.samples(1000, 1280), 0)
    np.testing.assert_array_equal(heard.samples(900, 1100)[:100], heard.samples(900, 1000))


def test_digital_silence_stays_zero():
    assert not NormalizedVoice(np.zeros(500, np.float32)).samples(0, 500).any()


@pytest.mark.parametrize("num_samples", [10, 14, 15, 999, 1004, 4001])
def test_moments_are_those_of_all_windows(monkeypatch, num_samples):
    monkeypatch.setattr(talk_features, "BLOCK_SAMPLES", 1000)
    heard = NormalizedVoice(noise(num_samples), num_samples + 37)
    samples = heard.samples(0, num_samples + 37).astype(np.float64)
    starts = range(0, num_samples + 37 - 10 + 1, 5)
    windows = np.array([samples[start : start + 10] for start in starts])
    mean, covariance = heard.window_moments(10, 5)
    np.testing.assert_allclose(mean, windows.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(windows.T, bias=True), atol=1e-12)


def test_no_more_than_a_block_is_read_at_once():
    class File:
        longest = 0

        def __len__(self):
            return 1_000_000

        def __getitem__(self, part):
            self.longest = max(self.longest, part.stop - part.start)
            return np.full(part.stop - part.start, 0.5, np.float32)

    file = File()
    NormalizedVoice(file).window_moments(10, 5)
    assert 0 < file.longest <= talk_features.BLOCK_SAMPLES + 10
