"""Dense motion on a coarse grid: a weighted sum of fields, turned around for sampling.

A `FieldBasis` holds one displacement field for each movement a head can make. For a frame their
weighted sum says where each place of the photograph goes; sampling needs the opposite, which place
comes here, so the sum is inverted by fixed-point iteration and only then enlarged to pixels.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array

INVERSE_STEPS = 5
DAMPING = 0.75  # a full step overshoots where the lips stretch most


@dataclass(frozen=True)
class Grid:
    """A coarse lattice over a part of the picture.

    Attributes:
        x: Picture column of the first lattice column, pixels.
        y: Picture row of the first lattice row, pixels.
        step: Pixels from one lattice point to the next; odd, see `enlarge`.
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

    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns and rows in the picture of every lattice point, each [rows, columns]."""
        rows, columns = self.shape
        x, y = np.meshgrid(
            np.arange(columns) * self.step + self.x, np.arange(rows) * self.step + self.y
        )
        return x.astype(np.float64), y.astype(np.float64)

    def cut(self, top: int, bottom: int, left: int, right: int) -> "Grid":
        """The lattice rows top..bottom and columns left..right (ends excluded) by themselves."""
        return Grid(
            self.x + left * self.step,
            self.y + top * self.step,
            self.step,
            (bottom - top, right - left),
        )


@dataclass(frozen=True)
class FieldBasis:
    """Displacement fields of every movement, in pixels.

    Attributes:
        grid: Where the lattice lies.
        fields: float32 [P, rows * columns * 2], (x, y) displacement for weight 1.
    """

    grid: Grid
    fields: Array

    def displacement(self, weights: Array) -> Array:
        """Where each place goes, pixels [rows, columns, 2], for weights [P]."""
        rows, columns = self.grid.shape
        # OpenCV's product, not numpy's: for so little work BLAS would wake threads that then spin.
        moved = cv2.gemm(weights[None], self.fields, 1.0, None, 0.0)  # type: ignore[call-overload]
        return moved.reshape(rows, columns, 2)


def move_points(points: NDArray[np.floating], displacement: Array, grid: Grid) -> Array:
    """Points [N, 2] in the picture, carried along by a displacement: float32 [N, 2]."""
    p = points.astype(np.float32)
    u = ((p[:, 0] - grid.x) / grid.step)[None]
    v = ((p[:, 1] - grid.y) / grid.step)[None]
    moved = cv2.remap(displacement, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return p + moved[0]


def invert(displacement: Array, grid: Grid) -> Array:
    """Which place comes to each lattice point, in lattice units: float32 [rows, columns, 2].

    Solves y = x + d(x) for x by damped fixed-point iteration x <- y - d(x).
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
    """Column and row of every lattice point, float32 [rows, columns, 2]; not to be changed."""
    u, v = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    return np.stack([u, v], -1)


def enlarge(inverse: Array, grid: Grid, *, scale: float) -> Array:
    """A sampling map for every pixel between the first and the last lattice point.

    Args:
        inverse: From `invert`, lattice units.
        grid: The lattice of `inverse`; its step is odd.
        scale: Pixels of the sampled image for one pixel of the picture; the sampled image begins
            at the grid's corner, and pixel areas (not centres) are aligned.

    Returns:
        float32 [(rows - 1) * step + 1, (columns - 1) * step + 1, 2], (x, y) in the sampled image.
    """
    step = grid.step
    rows, columns = grid.shape
    scaled = inverse * np.float32(step * scale) + np.float32((scale - 1) / 2)
    # `resize` puts lattice point k at pixel k * step + (step - 1) / 2, a whole number for odd
    # steps; it is ten times as fast as `warpAffine`.
    whole = cv2.resize(scaled, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
    margin = (step - 1) // 2
    return whole[  # type: ignore[return-value]
        margin : margin + (rows - 1) * step + 1, margin : margin + (columns - 1) * step + 1
    ]
