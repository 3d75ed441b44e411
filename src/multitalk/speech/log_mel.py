"""Log-mel bands, the viseme network's input, and loudness, 100 times a second.

The bands are those of Whisper (Radford et al., "Robust speech recognition via large-scale weak
supervision", 2022), whose lowest layers the network has, but relative to the loudness of the talk,
so that a volume knob cancels. Training and runtime share this file.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.timebase import SAMPLE_RATE

FEATURE_RATE = 100
HOP = SAMPLE_RATE // FEATURE_RATE  # 160 samples
WINDOW = 400  # samples = 25 ms
REACH = WINDOW // 2  # samples that the window of a frame reaches before the frame's centre
NUM_BANDS = 80
LINEAR_HZ = 1000.0  # below this frequency mels rise linearly, 15 of them; above, logarithmically
MELS_PER_HZ = 3 / 200
MELS_PER_LOG_HZ = 27 / np.log(6.4)
# Loudness is the energy per mel between these frequencies, after a pre-emphasis.
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
PRE_EMPHASIS = 0.95
FLOOR = 1e-5  # of the talk's loudness: 50 dB below is silence
LOUDNESS_PERCENTILE = 97.0
# Below this loudness there is no talk: white noise at -93 dB of full scale.
SILENT_ENERGY = 1e-7
# Common logarithms of bands relative to the loudness: the minimum, and the offset and scale of
# Whisper's inputs.
LEAST_BAND, BAND_OFFSET, BAND_SCALE = -6.5, 3.4, 4.0


@cache
def mel_filters() -> Array:
    """Triangular filters on the scale of Slaney's Auditory Toolbox (1998), of equal area.

    Returns:
        float32 [bins, NUM_BANDS].
    """
    hertz = _hertz()[:, None]
    corners = _hertz_of_mels(np.linspace(0, _mels_of_hertz(SAMPLE_RATE / 2), NUM_BANDS + 2))
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (hertz - left) / (centre - left), (right - hertz) / (right - centre)
    filters = np.clip(np.minimum(rising, falling), 0, None) * 2 / (right - left)
    return np.asarray(filters, np.float32)


@cache
def loudness_weights() -> Array:
    """The weight of each bin in the loudness, float32 [bins]."""
    hertz = _hertz()
    in_band = (hertz > LOWEST_HZ) & (hertz < HIGHEST_HZ)
    per_mel = in_band / (700 + hertz)  # density of O'Shaughnessy's mels (1987)
    angle = 2 * np.pi * hertz / SAMPLE_RATE
    emphasis = 1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * np.cos(angle)
    return np.asarray(per_mel / per_mel.sum() * emphasis, np.float32)


def band_energies(samples: Array) -> Array:
    """Energies of a stretch of sound.

    Args:
        samples: float32 [(T - 1) * HOP + WINDOW]: it begins `REACH` samples before the first
            frame's centre.

    Returns:
        float32 [T, NUM_BANDS + 1]: the mel bands, then the loudness.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]  # [T, WINDOW]
    frames = frames - frames.mean(axis=1, keepdims=True)  # a constant is no sound
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * window)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    energies: Array = power @ np.column_stack([mel_filters(), loudness_weights()])
    return energies


def whole_band_energies(samples: Array) -> Array:
    """`band_energies` of a whole recording: [ceil(S / HOP), NUM_BANDS + 1], silence around it."""
    num_frames = -(-len(samples) // HOP)
    behind = (num_frames - 1) * HOP + WINDOW - REACH - len(samples)
    return band_energies(np.pad(samples.astype(np.float32), (REACH, max(behind, 0))))


def loudness_of(energies: Array) -> float:
    """Loudness of the loud parts: a high percentile of that of energies [T, NUM_BANDS + 1]."""
    return float(np.percentile(energies[:, NUM_BANDS], LOUDNESS_PERCENTILE))


def relative_log(energies: Array, loudness: float) -> tuple[Array, Array]:
    """Energies [T, NUM_BANDS + 1] relative to the loudness of the talk.

    Returns:
        The network's input, float32 [T, NUM_BANDS], and the natural logarithm of the loudness,
        float32 [T].
    """
    relative = energies / np.float32(max(loudness, SILENT_ENERGY))
    bands = np.log10(np.maximum(relative[:, :NUM_BANDS], np.float32(10**LEAST_BAND)))
    log_mel: Array = (bands + np.float32(BAND_OFFSET)) / np.float32(BAND_SCALE)
    return log_mel, np.log(relative[:, NUM_BANDS] + np.float32(FLOOR))


def _hertz() -> NDArray[np.floating]:
    return np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)


def _mels_of_hertz(hertz: float) -> float:
    """Mels of a frequency above `LINEAR_HZ`."""
    return float(MELS_PER_HZ * LINEAR_HZ + MELS_PER_LOG_HZ * np.log(hertz / LINEAR_HZ))


def _hertz_of_mels(mels: NDArray[np.floating]) -> NDArray[np.floating]:
    above = np.maximum(mels - MELS_PER_HZ * LINEAR_HZ, 0)
    linear = np.minimum(mels / MELS_PER_HZ, LINEAR_HZ)
    hertz: NDArray[np.floating] = linear * np.exp(above / MELS_PER_LOG_HZ)
    return hertz
