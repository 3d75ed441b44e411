"""The reference's windows of speech: after the end of a track, its rows backwards."""

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.diffusion.segments import NO_ROW, Segment, window_rows

# Rows by which the reference extends a track: the last window's reach, and a frame more.
SURPLUS = 3


def reversed_rows(segment: Segment, num_rows: int) -> NDArray[np.int64]:
    """Rows of a track that each frame attends to: int64 [T, AUDIO_WINDOW].

    In a talk's last window the speech follows backwards; in earlier windows the last row goes on.
    """
    rows = window_rows(segment, segment.stop + SURPLUS)  # not limited by the track's end
    assert NO_ROW not in rows
    missing = 0
    if segment.last and segment.stop >= num_rows:
        missing = min(num_rows, segment.stop - num_rows + SURPLUS)
    rows = np.minimum(rows, num_rows + missing - 1)
    return np.where(rows < num_rows, rows, 2 * num_rows - 1 - rows)
