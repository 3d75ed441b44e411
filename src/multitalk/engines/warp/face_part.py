"""The face by itself: the part of a rig that is drawn anew while the head holds still."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.shapes import EXPRESSIONS

SEEN = 0.25  # pixels that the whole of an expression moves a place by, from which that is seen
HEAD_MOVES = 0.08  # face heights: where a turned and shifted head has its face, and some more


def face_part(rig: Rig) -> Rig:
    """The same head, its fields and its box cut to what an expression reaches.

    Lids and irises lie within it, since brows do.
    """
    grid = rig.upper.grid
    reached = np.zeros(grid.shape, bool)
    for basis in (rig.upper, rig.lower):
        moves = np.abs(basis.fields[: len(EXPRESSIONS)]).reshape(-1, *grid.shape, 2)
        reached |= moves.max((0, 3)) > SEEN
    margin = int(np.ceil(HEAD_MOVES * rig.frame.height / grid.step))
    top, bottom = _span(reached.any(axis=1), margin)
    left, right = _span(reached.any(axis=0), margin)
    upper, lower = (basis.cut(top, bottom, left, right) for basis in (rig.upper, rig.lower))
    part = upper.grid
    box = (
        part.x,
        part.y,
        min(rig.box[2], part.x + (right - left - 1) * part.step + 1),
        min(rig.box[3], part.y + (bottom - top - 1) * part.step + 1),
    )
    return replace(rig, upper=upper, lower=lower, box=box)


def _span(reached: NDArray[np.bool_] | np.bool_, margin: int) -> tuple[int, int]:
    """First and one past the last lattice line that is reached, with a margin around."""
    lines = np.flatnonzero(reached)
    return max(int(lines[0]) - margin, 0), min(int(lines[-1]) + 1 + margin, np.size(reached))
