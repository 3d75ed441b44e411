"""A voice of any length with mean zero and variance one, read block by block.

What depends on all of it (its mean, its variance, the moments of its windows) is summed up once in
float64; no more than a block of it is in memory.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from multitalk.array_types import Array

Moments = NDArray[np.float64]

VARIANCE_FLOOR = 1e-7
BLOCK_SAMPLES = 160_000


class NormalizedVoice:
    """A voice as wav2vec 2.0 is given it; digital silence stays zero, and zeros follow the voice.

    Args:
        speech: Mono [S], S > 0; may be a memory-mapped file.
        num_samples: Length with the zeros; S when None.
    """

    def __init__(self, speech: Array, num_samples: int | None = None) -> None:
        self._speech = speech
        self.num_samples = len(speech) if num_samples is None else num_samples
        total = sum(float(block.sum(dtype=np.float64)) for block in self._blocks())
        self._mean = np.float64(total / len(speech))
        squares = sum(float(np.square(block - self._mean).sum()) for block in self._blocks())
        self._deviation = np.sqrt(squares / len(speech) + VARIANCE_FLOOR)

    def samples(self, start: int, stop: int) -> Array:
        """Samples of a range that lies in [0, num_samples), float32."""
        heard = np.asarray(self._speech[start:stop], np.float32)
        leveled: Array = ((heard - self._mean) / self._deviation).astype(np.float32)
        return np.pad(leveled, (0, stop - start - len(heard)))

    def window_moments(self, size: int, stride: int) -> tuple[Moments, Moments]:
        """Mean [size] and covariance [size, size] of windows that begin every `stride` samples.

        They fix the mean and the variance of whatever is a weighted sum of each window.
        """
        count = (self.num_samples - size) // stride + 1
        total, products = np.zeros(size), np.zeros((size, size))
        step = BLOCK_SAMPLES // stride
        for first in range(0, count, step):
            last = min(first + step, count) - 1
            samples = self.samples(first * stride, last * stride + size).astype(np.float64)
            windows = sliding_window_view(samples, size)[::stride]
            total += windows.sum(axis=0)
            products += windows.T @ windows
        mean = total / count
        return mean, products / count - np.outer(mean, mean)

    def _blocks(self) -> Iterator[Array]:
        for start in range(0, len(self._speech), BLOCK_SAMPLES):
            yield np.asarray(self._speech[start : start + BLOCK_SAMPLES], np.float32)
