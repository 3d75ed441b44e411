"""What counts as silence: one judgement for the choice of a track, the mouth and the warning."""

import numpy as np
from numpy.typing import NDArray

MAX_GAIN_DB = 20.0  # up or down: room noise is not raised to the loudness of speech
AUDIBLE_PEAK = 0.01  # levelled speech peaks far above, however faint it was recorded
RECORDED_PEAK = AUDIBLE_PEAK / 10 ** (MAX_GAIN_DB / 20)  # the same before it is levelled

BLOCK_SAMPLES = 160_000


def is_silent(speech: NDArray[np.float32]) -> bool:
    """Whether there is no voice in speech [S] as `load_speech` returns it: none above -40 dBFS."""
    blocks = (speech[at : at + BLOCK_SAMPLES] for at in range(0, len(speech), BLOCK_SAMPLES))
    return all(float(np.abs(block).max()) < AUDIBLE_PEAK for block in blocks)
