"""Displacement fields on a coarse lattice: weighted sum, inversion, upsampling to pixels.

A `DisplacementBasis` holds one field per movement. The weighted sum d(x) of a frame is a forward
map; sampling needs its inverse, which is found on the lattice and then upsampled to pixels.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array

INVERSE_STEPS = 5
DAMPING = 0.75  # undamped steps overshoot where the lips stretch most


@dataclass(frozen=True)
class Grid:
    """A coarse lattice over a part of the picture.

    Attributes:
        x: Picture column of the first lattice column.
        y: Picture row of the first lattice row.
        step: Lattice spacing, pixels; odd, see `enlarge`.
        shape: (rows, columns).
    """

    x: int
    y: int
    step: int
    shape: tuple[int, int]

    @classmethod
    def over(cls, x0: int, y0: int, x1: int, y1: int, *, step: int) -> "Grid":
        """The lattice that covers columns x0..x1 and rows y0..y1 of the picture."""
        return cls(x0, y0, step, (-(-(y1 - y0) // step) + 1, -(-(x1 - x0) // step) + 1))

    def coordinates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Picture columns and picture rows of the lattice points, each [rows, columns]."""
        rows, columns = self.shape
        x, y = np.meshgrid(
            np.arange(columns) * self.step + self.x, np.arange(rows) * self.step + self.y
        )
        return x.astype(np.float64), y.astype(np.float64)

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of a picture of a size that it covers: x0, y0, x1, y1 (ends excluded)."""
        rows, columns = self.shape
        right = min(width, self.x + (columns - 1) * self.step + 1)
        return self.x, self.y, right, min(height, self.y + (rows - 1) * self.step + 1)

    def place_in(self, whole: "Grid") -> tuple[slice, slice]:
        """Its rows and columns in the lattice that it is a part of."""
        top, left = (self.y - whole.y) // self.step, (self.x - whole.x) // self.step
        return slice(top, top + self.shape[0]), slice(left, left + self.shape[1])

    def crop(self, top: int, bottom: int, left: int, right: int) -> "Grid":
        """The part of lattice rows top..bottom and columns left..right (ends excluded)."""
        return Grid(
            self.x + left * self.step,
            self.y + top * self.step,
            self.step,
            (bottom - top, right - left),
        )


@dataclass(frozen=True)
class DisplacementBasis:
    """One displacement field per movement.

    Attributes:
        grid: The lattice.
        fields: (x, y) displacement for weight 1, pixels, float32 [P, rows * columns * 2].
    """

    grid: Grid
    fields: Array

    @cached_property
    def largest(self) -> Array:
        """The largest displacement along x or y by any field, pixels [rows, columns]."""
        return np.abs(self.fields).max(0).reshape(*self.grid.shape, 2).max(-1)

    def displacement(self, weights: Array) -> Array:
        """The weighted sum for weights [P], pixels [rows, columns, 2]."""
        moved = np.zeros(self.fields.shape[1], np.float32)
        # One field after the other, and none without weight: the fields are larger than a cache.
        # Not by numpy's product: BLAS would wake threads that then spin.
        for place in np.flatnonzero(weights):
            cv2.scaleAdd(self.fields[place], float(weights[place]), moved, dst=moved)
        return moved.reshape(*self.grid.shape, 2)


def displace_points(points: NDArray[np.floating], displacement: Array, grid: Grid) -> Array:
    """Points [N, 2] of the picture after a displacement: float32 [N, 2]."""
    p = points.astype(np.float32)
    u = ((p[:, 0] - grid.x) / grid.step)[None]
    v = ((p[:, 1] - grid.y) / grid.step)[None]
    moved = cv2.remap(displacement, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return p + moved[0]


def invert(displacement: Array, grid: Grid) -> Array:
    """Source of each lattice point, lattice units: float32 [rows, columns, 2].

    Solves y = x + d(x) for x by damped fixed-point iteration, x <- x + 0.75 (y - d(x) - x).
    """
    here = _lattice(*grid.shape)
    back = displacement * np.float32(-1.0 / grid.step)
    source = here + back
    for _ in range(INVERSE_STEPS):
        arrived = here + cv2.remap(
            back,
            source,
            None,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,  # type: ignore[call-overload]
        )
        source = cv2.addWeighted(source, 1 - DAMPING, arrived, DAMPING, 0)
    return source


@lru_cache(maxsize=64)
def _lattice(rows: int, columns: int) -> Array:
    """Column and row of every lattice point, float32 [rows, columns, 2]; do not modify."""
    u, v = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    return np.stack([u, v], -1)


def upsample(inverse: Array, grid: Grid, *, scale: float, room: Array | None = None) -> Array:
    """Sampling map for every pixel from the first to the last lattice point.

    Args:
        inverse: From `invert`.
        grid: The lattice of `inverse`.
        scale: Source pixels per picture pixel. The source begins at the grid's corner; pixel areas,
            not centres, are aligned.
        room: As in `enlarge`.

    Returns:
        float32 [(rows - 1) * step + 1, (columns - 1) * step + 1, 2], (x, y) in the source.
    """
    scaled = inverse * np.float32(grid.step * scale) + np.float32((scale - 1) / 2)
    return enlarge(scaled, grid, room)


def enlarge(values: Array, grid: Grid, room: Array | None = None) -> Array:
    """Values [rows, columns, C] of lattice points, interpolated to the pixels between them.

    Args:
        values: Of the lattice points, float32.
        grid: The lattice.
        room: Memory for the result, float32 [N], used where it is large enough.

    Returns:
        float32 [(rows - 1) * step + 1, (columns - 1) * step + 1, C].
    """
    step = grid.step
    rows, columns = grid.shape
    # `resize` puts lattice point k at pixel k * step + (step - 1) / 2, a whole number for odd
    # steps; it is ten times as fast as `warpAffine`.
    shape = (rows * step, columns * step, values.shape[2])
    size = shape[0] * shape[1] * shape[2]
    whole = cv2.resize(
        values,
        shape[1::-1],
        dst=room[:size].reshape(shape) if room is not None and len(room) >= size else None,
        interpolation=cv2.INTER_LINEAR,
    )
    margin = (step - 1) // 2
    return whole[  # type: ignore[return-value]
        margin : margin + (rows - 1) * step + 1, margin : margin + (columns - 1) * step + 1
    ]
