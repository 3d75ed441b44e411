"""Speech features of a talk, computed block by block: an hour of them would fill 3.3 GB.

The encoder attends to its whole input. Up to a minute that is the whole talk. A longer one is
encoded in blocks of 40 s, each with 10 s of context on both sides, whose features are dropped: so
memory and the wait for the first frames are those of a minute, however long the talk is.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.media.loudness import AUDIBLE_PEAK
from multitalk.timebase import SAMPLES_PER_FRAME

Encode = Callable[[int, int], Array]  # rows start to stop, alone: float32 [stop - start, L, C]
Pauses = Literal["encoded", "null"]

BLOCK_ROWS = 1000
CONTEXT_ROWS = 250  # on each side of a block
WHOLE_ROWS = BLOCK_ROWS + 2 * CONTEXT_ROWS  # encoded at once

LINGER_ROWS = 12  # of a pause beside a voice that keep their features
FADE_ROWS = 5
REACH_ROWS = LINGER_ROWS + FADE_ROWS  # of a voice, into the pause
# Weight of a row by its distance from a voice: 1 up to the linger, then falling to 0.
LINGER = np.clip(
    (REACH_ROWS + 1 - np.abs(np.arange(-REACH_ROWS, REACH_ROWS + 1))) / (FADE_ROWS + 1), 0, 1
)

Moments = NDArray[np.float64]
VARIANCE_FLOOR = 1e-7
BLOCK_SAMPLES = 160_000


class TalkFeatures:
    """Rows of speech features, 25 for each second: `features[start:stop]`, float32 [n, L, C].

    They are computed on demand. The blocks of the last access are held, so
    read from the start to the end.
    """

    def __init__(self, encode: Encode, num_rows: int, presence: Encode | None = None) -> None:
        """Hold the encoder.

        Args:
            encode: Features of a part of the talk, encoded alone.
            num_rows: T.
            presence: What each row is multiplied with, [n, 1, 1]; None for nothing.
        """
        self._encode = encode
        self._presence = presence
        self._num_rows = num_rows
        self._block_rows = num_rows if num_rows <= WHOLE_ROWS else BLOCK_ROWS
        self._blocks: dict[int, Array] = {}

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, rows: slice) -> Array:
        start, stop, _ = rows.indices(self._num_rows)
        size = self._block_rows
        needed = range(start // size, max(start, stop - 1) // size + 1)
        self._blocks = {
            block: self._blocks[block] if block in self._blocks else self._encoded(block)
            for block in needed
        }
        pieces = [
            features[max(0, start - block * size) : max(0, stop - block * size)]
            for block, features in self._blocks.items()
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _encoded(self, block: int) -> Array:
        start, stop = block * self._block_rows, min((block + 1) * self._block_rows, self._num_rows)
        first = max(0, start - CONTEXT_ROWS)
        features = self._encode(first, min(stop + CONTEXT_ROWS, self._num_rows))
        features = features[start - first : stop - first].copy()  # lets the context go
        if self._presence is not None:
            features *= self._presence(start, stop)
        return features


def presence(speech: Array, start: int, stop: int) -> Array:
    """Presence of a voice in each row: 1 near its sound, 0 in its pauses.

    Args:
        speech: As `media.audio.load_speech` returns it, mono [S].
        start: First row.
        stop: Row after the last.

    Returns:
        Float32 [stop - start, 1, 1]. It fades within a fifth of a second, half a second after the
        voice and before it; shorter pauses are part of speech.
    """
    first = start - REACH_ROWS
    before = max(0, -first)
    samples = np.abs(
        speech[max(0, first) * SAMPLES_PER_FRAME : (stop + REACH_ROWS) * SAMPLES_PER_FRAME]
    )
    peaks = np.zeros(stop + REACH_ROWS - first, np.float32)
    padded = np.pad(samples, (0, -len(samples) % SAMPLES_PER_FRAME))
    levels = padded.reshape(-1, SAMPLES_PER_FRAME).max(axis=1)
    peaks[before : before + len(levels)] = levels
    near = sliding_window_view(peaks >= AUDIBLE_PEAK, len(LINGER))  # [stop - start, 2 reach + 1]
    present: Array = (near * LINGER).max(axis=1).astype(np.float32)
    return present[:, None, None]


class NormalizedVoice:
    """A voice of any length with zero mean and unit variance, as wav2vec 2.0 takes it.

    Digital silence stays zero, and zeros follow the voice. What depends on all of it (mean,
    variance, moments of its windows) is summed in float64, a block at a time.

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
        """Samples of a range within [0, num_samples), float32."""
        samples = np.asarray(self._speech[start:stop], np.float32)
        leveled: Array = ((samples - self._mean) / self._deviation).astype(np.float32)
        return np.pad(leveled, (0, stop - start - len(samples)))

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
