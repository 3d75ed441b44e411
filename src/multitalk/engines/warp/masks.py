"""Masks of pictures: where something is, and the rows or columns that it takes."""

import numpy as np
from numpy.typing import NDArray


def mask_where(condition: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """255 where a condition holds, 0 elsewhere, of the same shape."""
    return np.uint8(255) * condition.view(np.uint8)


def span_of(lines: NDArray[np.generic], margin: int = 0) -> slice:
    """From the first to the last line that is not 0, and a margin; one line where all are 0.

    Args:
        lines: One value for each row, or each column, [N].
        margin: Lines on both sides; the end may be beyond the last line.
    """
    found = np.flatnonzero(lines)
    if not len(found):
        return slice(0, 1)
    return slice(max(int(found[0]) - margin, 0), int(found[-1]) + 1 + margin)
