"""Where each pixel around an eye is: along it, between its lids, on the way from brow to lashes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.smoothing import interpolate_monotone

# Lengths are in eye widths, and set by eye, unless another unit is given.
LASH_HEIGHT = 0.055  # lash line above the landmarks of an open eye
LASH_OF_SHUT, LASH_FULL_GAP = 0.45, 0.12  # share of it at no gap; gap from which all of it
BROW_ROOM, LID_ROOM = 0.80, (0.22, 0.60)  # share of the way to the brow; limits


@dataclass(frozen=True)
class LidGeometry:
    """Where each pixel is around one eye, source pixels [h, w] in axes along and across the eye.

    Attributes:
        x: Along the eye from its centre.
        y: Down from its centre.
        lid: y of the upper lid.
        floor: y of the lower lid.
        gap: Between them, never negative.
        edge: y of the lash line.
        top: y where a lid's skin begins.
        half: Half the eye's width.
        down: Unit vector (x, y) of the picture across the eye.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    lid: NDArray[np.floating]
    floor: NDArray[np.floating]
    gap: NDArray[np.floating]
    edge: NDArray[np.floating]
    top: NDArray[np.floating]
    half: float
    down: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        lids: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        low: NDArray[np.int_],
        high: NDArray[np.int_],
        width: float,
    ) -> "LidGeometry":
        """Of upper lid, lower lid and brow [N, 2] in the pixels low..high."""
        upper, lower, brow = lids
        centre = (upper[0] + upper[-1]) / 2
        along = (upper[-1] - upper[0]) / width
        if along[0] < 0:
            along = -along
        down = np.array([-along[1], along[0]])

        def local(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack([(points - centre) @ along, (points - centre) @ down], -1)

        columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        place = local(np.stack([columns, rows], -1).astype(np.float64))
        lid_line, floor_line, brow_line = local(upper), local(lower), local(brow)
        order = np.argsort(lid_line[:, 0])
        xs = lid_line[order, 0]
        lid = interpolate_monotone(place[..., 0], xs, lid_line[order, 1])
        floor = interpolate_monotone(place[..., 0], xs, floor_line[order, 1])
        gap = np.clip(floor - lid, 0, None)
        lash = LASH_HEIGHT * width
        edge = lid - lash * np.clip(LASH_OF_SHUT + gap / (LASH_FULL_GAP * width), 0, 1)
        room = BROW_ROOM * (lid_line[:, 1].mean() - brow_line[:, 1].mean())
        top = edge - np.clip(room, LID_ROOM[0] * width, LID_ROOM[1] * width)
        half = float((xs[-1] - xs[0]) / 2)
        return cls(place[..., 0], place[..., 1], lid, floor, gap, edge, top, half, down)

    @property
    def above(self) -> NDArray[np.floating]:
        """Share of the way from the top of the lid to the lash line, [h, w]."""
        return (self.y - self.top) / np.maximum(self.edge - self.top, 1.0)
