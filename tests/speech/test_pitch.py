import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.speech.pitch import stream_pitch

RATE = 16_000


def voiced(hertz: float, seconds: float = 1.0) -> NDArray[np.float32]:
    """Overtones of a voice, the first weaker than the second as in many vowels."""
    t = np.arange(round(seconds * RATE)) / RATE
    sizes = (0.5, 1.0, 0.7, 0.4, 0.3, 0.2)
    parts = [size * np.sin(2 * np.pi * k * hertz * t) for k, size in enumerate(sizes, 1)]
    return (0.05 * np.sum(parts, 0)).astype(np.float32)


def pitch(samples: NDArray[np.float32], chunk: int = 25) -> NDArray[np.float32]:
    frames = -(-len(samples) // 640)
    return np.concatenate(list(stream_pitch(samples, num_frames=frames, chunk_frames=chunk)))


@pytest.mark.parametrize("hertz", [85.0, 110.0, 155.0, 220.0, 310.0, 390.0])
def test_a_voice_has_its_pitch(hertz: float) -> None:
    found = pitch(voiced(hertz))[1:-1]
    np.testing.assert_allclose(found, 12 * np.log2(hertz / 100), atol=0.4)


def test_noise_and_silence_have_none() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    assert np.isnan(pitch(noise)).mean() > 0.9
    assert np.isnan(pitch(np.zeros(RATE, np.float32))).all()


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_pitch_does_not_depend_on_how_the_talk_is_cut(chunk: int) -> None:
    samples = np.concatenate([voiced(120, 0.5), voiced(200, 0.37)])
    np.testing.assert_array_equal(pitch(samples, chunk), pitch(samples))


def test_silence_follows_a_voice_that_ends() -> None:
    parts = stream_pitch(voiced(120, 0.2), num_frames=20, chunk_frames=12)
    assert [len(part) for part in parts] == [12, 8]
