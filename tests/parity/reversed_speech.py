"""The reference's windows of speech: after the end of a track, its rows backwards."""

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.diffusion.windows import NO_ROW, Window, feature_rows

# Rows by which the reference extends a track: the last window's reach, and a frame more.
SURPLUS = 3


def reversed_rows(window: Window, num_rows: int) -> NDArray[np.int64]:
    """Rows of a track that each frame attends to: int64 [T, AUDIO_WINDOW].

    In a talk's last window the speech follows backwards; in earlier windows the last row goes on.
    """
    rows = feature_rows(window, window.stop + SURPLUS)  # not limited by the track's end
    assert NO_ROW not in rows
    missing = 0
    if window.is_last and window.stop >= num_rows:
        missing = min(num_rows, window.stop - num_rows + SURPLUS)
    rows = np.minimum(rows, num_rows + missing - 1)
    return np.where(rows < num_rows, rows, 2 * num_rows - 1 - rows)
