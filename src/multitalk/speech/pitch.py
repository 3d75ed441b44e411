"""The pitch of a voice, 25 times a second."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME

WINDOW = 1024  # 64 ms: four periods of a deep voice
LOWEST, HIGHEST = 70.0, 420.0  # Hz
PERIODIC = 0.5  # autocorrelation from which on a frame has a pitch
OCTAVE_COSTS = 0.04  # of it, for each octave down: a period fits twice into two
SILENT = 1e-7  # mean square


def stream_pitch(samples: Array, *, num_frames: int, chunk_frames: int) -> Iterator[Array]:
    """Find the pitch of a voice piece by piece, reading only the samples needed.

    The autocorrelation of each frame, divided by that of its window: P. Boersma, "Accurate
    short-term analysis of the fundamental frequency", 1993.

    Args:
        samples: float32 [S], mono, 16 kHz; may be a memory map of any length.
        num_frames: Frames in all; silence follows the samples.
        chunk_frames: Length of each piece but the last. The frames do not depend on it.

    Yields:
        Consecutive parts, float32 [T]: semitones above 100 Hz, NaN where there is no pitch.
    """
    for first in range(0, num_frames, chunk_frames):
        frames = np.arange(first, min(first + chunk_frames, num_frames))
        yield _pitch(np.stack([_around(samples, int(frame)) for frame in frames]))


def _around(samples: Array, frame: int) -> Array:
    start = frame * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2 - WINDOW // 2
    part = samples[max(start, 0) : max(start + WINDOW, 0)]
    whole = np.zeros(WINDOW, np.float32)
    offset = max(-start, 0)
    whole[offset : offset + len(part)] = part
    return whole


def _pitch(sounds: Array) -> Array:
    """Pitch of each row of samples [T, WINDOW], semitones [T]; NaN without one."""
    window = np.hanning(WINDOW).astype(np.float32)
    alike = _autocorrelation(sounds * window)
    power = np.maximum(alike[:, :1], WINDOW * SILENT)
    lags = np.arange(int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST) + 1)
    of_window = _autocorrelation(window[None])
    alike = alike[:, lags] / power * (of_window[:, :1] / of_window[:, lags])
    best = np.argmax(alike - OCTAVE_COSTS * np.log2(lags / lags[0]), axis=1)
    semitones = 12 * np.log2(SAMPLE_RATE / lags[best] / 100)
    strength = np.take_along_axis(alike, best[:, None], 1)[:, 0]
    return np.where(strength > PERIODIC, semitones, np.nan).astype(np.float32)


def _autocorrelation(sounds: Array) -> NDArray[np.floating]:
    spectrum = np.fft.rfft(sounds, 2 * WINDOW, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, axis=1)
