"""What the viseme network hears: log-mel bands and loudness, 100 times a second.

The spectrum is taken relative to the loudness of the talk and to its own mean over speech, so that
a microphone's colour, a room and a volume knob cancel. Training and runtime share this file.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SAMPLE_RATE = 16_000
FEATURE_RATE = 100
HOP = SAMPLE_RATE // FEATURE_RATE  # 160 samples
WINDOW = 400  # samples = 25 ms
FFT_SIZE = 512
NUM_BANDS = 40
NUM_FEATURES = NUM_BANDS + 1
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
PRE_EMPHASIS = 0.95
# Samples that the window of a frame reaches before the frame's centre, with pre-emphasis.
REACH = WINDOW // 2 + 1
FLOOR = 1e-5  # of the talk's loudness: 50 dB below, nothing is heard
SPEECH_THRESHOLD = 0.003  # of the talk's loudness: 25 dB below it is not counted as speech
LOUDNESS_PERCENTILE = 97.0
# Below this mean band energy there is no talk: white noise at -93 dB of full scale.
SILENT_ENERGY = 1e-7
# Frames that the expected spectrum counts as, when the mean over speech is taken.
PRIOR_FRAMES = 50.0


@cache
def mel_filters() -> Array:
    """Triangular filters on the mel scale (O'Shaughnessy 1987), of sum one; [bins, bands]."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    mels = np.linspace(lowest, highest, NUM_BANDS + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)  # Hz
    bins = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters = np.clip(np.minimum(rising, falling), 0, None)
    filters /= np.maximum(filters.sum(axis=0), 1e-6)
    return np.asarray(filters, np.float32)


def band_energies(samples: Array) -> Array:
    """Mel band energies of a stretch of sound.

    Args:
        samples: float32 [(T - 1) * HOP + WINDOW + 1]: it begins `REACH` samples before the first
            frame's centre.

    Returns:
        float32 [T, NUM_BANDS].
    """
    emphasised = samples[1:] - np.float32(PRE_EMPHASIS) * samples[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, WINDOW)[::HOP]  # [T, WINDOW]
    frames = frames - frames.mean(axis=1, keepdims=True)  # a constant is no sound
    window = np.hanning(WINDOW).astype(np.float32)
    spectrum = np.fft.rfft(frames * window, FFT_SIZE)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    bands: Array = power @ mel_filters()
    return bands


def whole_band_energies(samples: Array) -> Array:
    """`band_energies` of a whole recording: [ceil(S / HOP), NUM_BANDS], silence around it."""
    num_frames = -(-len(samples) // HOP)
    behind = (num_frames - 1) * HOP + WINDOW + 1 - REACH - len(samples)
    return band_energies(np.pad(samples.astype(np.float32), (REACH, behind)))


def loudness_of(energies: Array) -> float:
    """Loudness of the loud parts: a high percentile of the mean band energy [T, NUM_BANDS]."""
    return float(np.percentile(energies.mean(axis=1), LOUDNESS_PERCENTILE))


def relative_log(energies: Array, loudness: float) -> tuple[Array, Array]:
    """Logarithms of the bands [T, NUM_BANDS] and of their mean [T], relative to the loudness."""
    relative = energies / np.float32(max(loudness, SILENT_ENERGY))
    floor = np.float32(FLOOR)
    return np.log(relative + floor), np.log(relative.mean(axis=1) + floor)


def speech_mean(log_bands: Array, log_energy: Array, prior: Array) -> Array:
    """Mean spectrum [NUM_BANDS] over the speech, nearer to `prior` where speech is short."""
    spoken = log_energy > np.log(SPEECH_THRESHOLD)
    total = log_bands[spoken].sum(axis=0) + np.float32(PRIOR_FRAMES) * prior
    mean: Array = total / np.float32(spoken.sum() + PRIOR_FRAMES)
    return mean


def features(log_bands: Array, log_energy: Array, mean: Array) -> Array:
    """Network input, float32 [T, NUM_FEATURES]: bands less their speech mean, then loudness."""
    return np.concatenate([log_bands - mean, log_energy[:, None]], axis=1)
