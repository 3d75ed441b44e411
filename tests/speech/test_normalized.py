import numpy as np
import pytest

from multitalk.speech import normalized
from multitalk.speech.normalized import NormalizedVoice


def voice(num_samples, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 0.1, num_samples).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 999, 1000, 1001, 3456])
def test_read_in_blocks_it_has_the_mean_and_variance_of_the_whole(monkeypatch, num_samples):
    monkeypatch.setattr(normalized, "BLOCK_SAMPLES", 1000)
    speech = voice(num_samples)
    expected = (speech - speech.mean(dtype=np.float64)) / np.sqrt(
        speech.var(dtype=np.float64) + 1e-7
    )
    heard = NormalizedVoice(speech)
    parts = [heard.samples(at, min(at + 70, num_samples)) for at in range(0, num_samples, 70)]
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-6)


def test_zeros_follow_the_voice():
    speech = voice(1000)
    heard = NormalizedVoice(speech, 1280)
    np.testing.assert_array_equal(heard.samples(1000, 1280), 0)
    np.testing.assert_array_equal(heard.samples(900, 1100)[:100], heard.samples(900, 1000))


def test_digital_silence_stays_zero():
    assert not NormalizedVoice(np.zeros(500, np.float32)).samples(0, 500).any()


@pytest.mark.parametrize("num_samples", [10, 14, 15, 999, 1004, 4001])
def test_moments_are_those_of_all_windows(monkeypatch, num_samples):
    monkeypatch.setattr(normalized, "BLOCK_SAMPLES", 1000)
    heard = NormalizedVoice(voice(num_samples), num_samples + 37)
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
    assert 0 < file.longest <= normalized.BLOCK_SAMPLES + 10
