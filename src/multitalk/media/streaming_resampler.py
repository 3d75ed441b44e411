"""Sound of one rate as sound of another, block by block, without waiting for what comes."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.timebase import FPS, SAMPLE_RATE

PcmSamples = NDArray[np.int16]

FULL_SCALE = 32_767
# Of the low-pass filter: zero crossings on each side, and cutoff as a share of Nyquist.
ZERO_CROSSINGS = 12
CUTOFF = 0.92


class StreamingResampler:
    """Resamples consecutive blocks of one rate to another, causally: up to 2 ms of delay.

    Args:
        rate: Of the blocks, samples per second.
        target: Of the result; the viseme network's by default.
    """

    def __init__(self, rate: int, target: int = SAMPLE_RATE) -> None:
        self.rate = rate
        self._target = target
        self._positions, self._weights = _filter(rate, target)
        self._past = np.zeros(-int(self._positions.min()), np.float32)

    def resample(self, block: PcmSamples) -> Array:
        """A block of one video frame, int16 [rate / 25], as float32 [target / 25] in [-1, 1]."""
        samples = block.astype(np.float32) / np.float32(FULL_SCALE)
        if self.rate == self._target:
            return samples
        history = np.concatenate([self._past, samples])
        taps = history[self._positions + len(self._past)]
        resampled: Array = np.einsum("nt,nt->n", taps, self._weights)
        self._past = history[-len(self._past) :]
        return resampled


@cache
def _filter(rate: int, target: int) -> tuple[NDArray[np.int64], Array]:
    """Input positions and weights, [target / 25, taps] each, of a block's output samples.

    A Hann-windowed sinc that cuts off below the lower of the two Nyquist frequencies. Positions
    count from the block's first sample; none is after the block.
    """
    cutoff = CUTOFF * min(1.0, target / rate)
    half = int(np.ceil(ZERO_CROSSINGS / cutoff))
    instants = np.arange(target // FPS) * (rate / target) - half
    positions = np.floor(instants).astype(np.int64)[:, None] + np.arange(1 - half, half + 1)
    distance = instants[:, None] - positions
    window = np.cos(np.pi / 2 * np.clip(distance / half, -1, 1)) ** 2
    weights = np.sinc(cutoff * distance) * window
    weights /= weights.sum(axis=1, keepdims=True)
    return positions, weights.astype(np.float32)
