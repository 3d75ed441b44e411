"""Where the pixels around an eye are: along it, across it, and from its lids."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.smoothing import interpolate_monotone

# Lengths in eye widths, set by eye.
LASH_HEIGHT = 0.055  # lash line above the landmarks of an open eye
LASH_OF_SHUT, LASH_FULL_GAP = 0.45, 0.12  # share of it at no gap; gap from which all of it
STEPS = 8  # a pixel
BROW_ROOM, LID_ROOM = 0.80, (0.10, 0.60)  # share of the way to the brow; limits


@dataclasses.dataclass(frozen=True)
class LidGeometry:
    """Where each pixel is around one eye, float32 [h, w], in pixels along and across the eye.

    Attributes:
        x: Along the eye from its centre.
        y: Down from its centre.
        lid: y of the upper lid.
        floor: y of the lower lid.
        gap: Between them, never negative.
        edge: y of the line of lashes.
        top: y where a lid's skin begins.
        half: Half the eye's extent along x.
        width: Of the eye, from corner to corner.
        centre: Of the eye in its patch, pixels (x, y).
        axes: Unit vectors along the eye and down, (x, y) each, [2, 2].
        outward: Sign of x at the outer corner.
    """

    x: Array
    y: Array
    lid: Array
    floor: Array
    gap: Array
    edge: Array
    top: Array
    half: float
    width: float
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    outward: float

    @classmethod
    def of(
        cls,
        lids: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        low: NDArray[np.int_],
        high: NDArray[np.int_],
    ) -> "LidGeometry":
        """Of upper lid, lower lid (from the outer corner) and brow [N, 2] in pixels low..high."""
        upper, lower, brow = lids
        width = float(np.linalg.norm(upper[0] - upper[-1]))
        centre = (upper[0] + upper[-1]) / 2
        along = (upper[-1] - upper[0]) / width
        if along[0] < 0:
            along = -along
        down = np.array([-along[1], along[0]])

        def local(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack([(points - centre) @ along, (points - centre) @ down], -1)

        columns, rows = np.arange(low[0], high[0]), np.arange(low[1], high[1])
        x, y = (
            ((columns - centre[0]) * way[0] + ((rows - centre[1]) * way[1])[:, None]).astype(
                np.float32
            )
            for way in (along, down)
        )
        lid_line, floor_line, brow_line = local(upper), local(lower), local(brow)
        order = np.argsort(lid_line[:, 0])
        xs = lid_line[order, 0]
        # Both depend on x only: looked up in steps that no pixel shows.
        start, end = float(x.min()), float(x.max())
        steps = np.arange(start, end + 2 / STEPS, 1 / STEPS)
        step = ((x - np.float32(start)) * np.float32(STEPS) + np.float32(0.5)).astype(np.intp)
        lid, floor = (
            interpolate_monotone(steps, xs, line[order, 1]).astype(np.float32)[step]
            for line in (lid_line, floor_line)
        )
        gap = np.clip(floor - lid, 0, None)
        lash = LASH_HEIGHT * width
        edge = lid - lash * np.clip(LASH_OF_SHUT + gap / (LASH_FULL_GAP * width), 0, 1)
        room = float(BROW_ROOM * (lid_line[:, 1].mean() - brow_line[:, 1].mean()))
        # Nowhere in the brow itself, or a lid would draw it down.
        room = np.minimum(room, edge - _brow_at(brow_line, steps)[step])
        top = edge - np.clip(room, LID_ROOM[0] * width, LID_ROOM[1] * width)
        half = float((xs[-1] - xs[0]) / 2)
        axes, outward = np.stack([along, down]), float(np.sign(lid_line[0, 0]))
        return cls(x, y, lid, floor, gap, edge, top, half, width, centre - low, axes, outward)

    def around(
        self, aside: float, up: float, down: float
    ) -> tuple[tuple[slice, slice], "LidGeometry"]:
        """Rows and columns around the eye's centre, eye widths, and where their pixels are."""
        height, width = self.y.shape
        x, y = self.centre
        rows, columns = (
            slice(max(int(middle - before * self.width), 0), min(int(middle + after), length))
            for middle, before, after, length in (
                (y, up, down * self.width, height),
                (x, aside, aside * self.width, width),
            )
        )
        arrays = {
            name: getattr(self, name)[rows, columns]
            for name in ("x", "y", "lid", "floor", "gap", "edge", "top")
        }
        part = dataclasses.replace(self, **arrays, centre=self.centre - (columns.start, rows.start))
        return (rows, columns), part

    @property
    def above(self) -> Array:
        """Share of the way from the top of the lid to the lash line, [h, w]."""
        return (self.y - self.top) / np.maximum(self.edge - self.top, 1.0)

    @property
    def under(self) -> Array:
        """Distance below the lower lid, eye widths, [h, w]."""
        return (self.y - self.floor) / self.width


def _brow_at(points: NDArray[np.float64], x: NDArray[np.floating]) -> Array:
    """A brow's y at `x` [N]: a parabola near its points (x, y) [M, 2], level beyond."""
    start, end = float(points[:, 0].min()), float(points[:, 0].max())
    middle = (start + end) / 2
    fit = np.polyfit(points[:, 0] - middle, points[:, 1], 2)
    return np.asarray(np.polyval(fit, np.clip(x, start, end) - middle), np.float32)
