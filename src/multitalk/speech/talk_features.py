"""A talk's speech features, heard as the talk goes: an hour of them would fill 3.3 GB.

The encoder attends to all that it is given at once. Up to a minute that is the whole talk. A longer
one is heard in blocks of 40 s, each with 10 s more on both sides, whose features are dropped: so
memory and the wait for the first frames are those of a minute, however long the talk is.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from multitalk.array_types import Array
from multitalk.media.silence import AUDIBLE_PEAK
from multitalk.timebase import SAMPLES_PER_FRAME

Hear = Callable[[int, int], Array]  # rows start to stop, alone: float32 [stop - start, L, C]
Pauses = Literal["heard", "null"]

BLOCK_ROWS = 1000
CONTEXT_ROWS = 250  # on each side of a block
WHOLE_ROWS = BLOCK_ROWS + 2 * CONTEXT_ROWS  # heard at once

LINGER_ROWS = 12  # after a voice, and before it, the pause is heard as it is
FADE_ROWS = 5
REACH_ROWS = LINGER_ROWS + FADE_ROWS  # of a voice, into the pause
# What is left of a row that is so far from a voice: 1 up to the linger, then falling to 0.
LINGER = np.clip(
    (REACH_ROWS + 1 - np.abs(np.arange(-REACH_ROWS, REACH_ROWS + 1))) / (FADE_ROWS + 1), 0, 1
)


class TalkFeatures:
    """Rows of speech features, 25 for each second: `features[start:stop]`, float32 [n, L, C].

    They are computed when they are asked for. The blocks that the last question needed are held, so
    ask from the start to the end.
    """

    def __init__(self, hear: Hear, num_rows: int, presence: Hear | None = None) -> None:
        """Hold what computes them.

        Args:
            hear: Features of a part of the talk that is heard for itself.
            num_rows: T.
            presence: What each row is multiplied with, [n, 1, 1]; None for nothing.
        """
        self._hear = hear
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
            block: self._blocks[block] if block in self._blocks else self._heard(block)
            for block in needed
        }
        pieces = [
            features[max(0, start - block * size) : max(0, stop - block * size)]
            for block, features in self._blocks.items()
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _heard(self, block: int) -> Array:
        start, stop = block * self._block_rows, min((block + 1) * self._block_rows, self._num_rows)
        first = max(0, start - CONTEXT_ROWS)
        features = self._hear(first, min(stop + CONTEXT_ROWS, self._num_rows))
        features = features[start - first : stop - first].copy()  # lets the context go
        if self._presence is not None:
            features *= self._presence(start, stop)
        return features


def presence(speech: Array, start: int, stop: int) -> Array:
    """How far a voice is there in each row: 1 near what is heard of it, 0 in its pauses.

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
    heard = padded.reshape(-1, SAMPLES_PER_FRAME).max(axis=1)
    peaks[before : before + len(heard)] = heard
    near = sliding_window_view(peaks >= AUDIBLE_PEAK, len(LINGER))  # [stop - start, 2 reach + 1]
    present: Array = (near * LINGER).max(axis=1).astype(np.float32)
    return present[:, None, None]
