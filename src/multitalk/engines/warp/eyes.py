"""Eyes: lids that close and irises that look aside, painted into the source before it is warped.

A lid is the skin under the brow stretched down over the eye, with a lash line drawn along its edge.
A look is a shift of what lies between the lids that fades at their edges.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face import mesh
from multitalk.face.geometry import interpolate_monotone, smoothstep

LID_LEVELS = 8  # how many stages of a blink are told apart
SMOOTH_SKIN = 0.55  # share of the way from brow to lashes that is free of crease and lashes
SMOOTHED = 0.20  # eye widths within which the lid's skin is evened out
LASH = 0.055  # height of the lash line above the landmarks, in eye widths


class Eye:
    """One eye of the enlarged source picture.

    Args:
        source: uint8 [H, W, C], the picture to be painted; only read here.
        upper: Landmarks of the upper lid in the source, [9, 2], from corner to corner.
        lower: Likewise of the lower lid.
        brow: Lower edge of the brow, [5, 2].
    """

    def __init__(
        self,
        source: NDArray[np.uint8],
        upper: NDArray[np.float64],
        lower: NDArray[np.float64],
        brow: NDArray[np.float64],
    ) -> None:
        self._width = float(np.linalg.norm(upper[0] - upper[-1]))
        centre = (upper[0] + upper[-1]) / 2
        limit = np.array(source.shape[1::-1])
        low = np.maximum((centre - np.array([0.95, 1.0]) * self._width).astype(int), 0)
        high = np.minimum((centre + np.array([0.95, 0.75]) * self._width).astype(int), limit)
        self._low, self._high = low, high
        self._base = source[low[1] : high[1], low[0] : high[0]].copy()
        # Strands of hair over the brow would be drawn out into streaks on the lid.
        self._skin = cv2.medianBlur(self._base, int(SMOOTHED * self._width) | 1)
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        along = (upper[-1] - upper[0]) / self._width
        if along[0] < 0:
            along = -along
        self._down = np.array([-along[1], along[0]])

        def local(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack([(points - centre) @ along, (points - centre) @ self._down], -1)

        place = local(np.stack([x, y], -1).astype(np.float64))
        lid, floor, above = local(upper), local(lower), local(brow)
        order = np.argsort(lid[:, 0])
        self._y = place[..., 1]
        xs = lid[order, 0]
        self._lid = interpolate_monotone(place[..., 0], xs, lid[order, 1])
        self._floor = interpolate_monotone(place[..., 0], xs, floor[order, 1])
        self._gap = np.clip(self._floor - self._lid, 0, None)
        lash = LASH * self._width
        self._edge = self._lid - lash * np.clip(0.45 + self._gap / (0.12 * self._width), 0, 1)
        brow_room = 0.80 * (lid[:, 1].mean() - above[:, 1].mean())
        self._top = self._edge - np.clip(brow_room, 0.22 * self._width, 0.6 * self._width)
        beyond = (np.abs(place[..., 0]) - (xs[-1] - xs[0]) / 2) / (0.28 * self._width)
        self._fade = 1 - smoothstep(beyond, 0, 1)
        self._lash_taper = 1 - np.clip(np.abs(place[..., 0]) / (0.54 * self._width), 0, 1) ** 3
        rows, columns = place.shape[:2]
        u, v = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        self._here = np.stack([u, v], -1)
        self._look_weight = self._inside_lids().astype(np.float32)
        self._lid_parts = lru_cache(maxsize=LID_LEVELS + 1)(self._make_lid_parts)

    def paint(self, source: NDArray[np.uint8], *, closed: float, look: tuple[float, float]) -> None:
        """Paint the eye into `source`, in place.

        Args:
            source: The picture that was given at first, or a copy.
            closed: 0 as in the photograph, 1 shut.
            look: How far the iris moves (right, down), in eye widths; +-0.1 is far.
        """
        eye = self._base
        if look != (0.0, 0.0):
            shift = np.array(look, np.float32) * self._width
            eye = cv2.remap(
                eye,
                self._here - self._look_weight[..., None] * shift,
                None,  # type: ignore[call-overload]
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        level = round(closed * LID_LEVELS)
        if level > 0:
            sampling, cover, light = self._lid_parts(level)
            lid = cv2.remap(
                self._skin,
                sampling,
                None,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,  # type: ignore[call-overload]
            ).astype(np.float32)
            open_eye = eye.astype(np.float32)
            eye = ((open_eye + (lid - open_eye) * cover) * light).astype(np.uint8)
        source[self._low[1] : self._high[1], self._low[0] : self._high[0]] = eye

    def _inside_lids(self) -> NDArray[np.float64]:
        from_lid = (self._y - self._lid) / np.maximum(self._gap, 1.0)
        from_floor = (self._floor - self._y) / np.maximum(self._gap, 1.0)
        margin = smoothstep(self._gap, 0.06 * self._width, 0.2 * self._width)
        rise, fall = smoothstep(from_lid, -0.15, 0.35), smoothstep(from_floor, -0.15, 0.35)
        return (rise * fall * margin).astype(np.float64)

    def _make_lid_parts(
        self, level: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Sampling map, cover [h, w, 1] and light [h, w, 1] of a lid at one level.

        The lid's skin is the smooth skin under the brow, stretched down: what lies nearer to the
        eye (crease, lashes) would smear. The lash line is drawn anew along the lid's edge.
        """
        closed = level / LID_LEVELS
        y, top = self._y, self._top
        span = self._edge - top
        shut = self._edge + closed * (self._floor - 0.02 * self._width - self._edge) * self._fade
        skin = top + np.clip((y - top) / np.maximum(shut - top, 1.0), 0, 1) * SMOOTH_SKIN * span
        shift = (np.where(y < top, 0, skin - y) * self._fade)[..., None] * self._down
        soft = max(1.2, 0.03 * self._width)
        above = smoothstep((y - top) / np.maximum(span, 1.0), 0.10, 0.75)
        cover = above * np.clip((shut - y) / soft + 0.5, 0, 1) * self._fade
        # Rounder than the skin it was taken from: darker at the crease and towards the lashes.
        bulge = (y - self._edge) / np.maximum(shut - self._edge, 1.0)
        round_off = 1 - 0.14 * closed * cover * np.clip(np.abs(bulge - 0.45) * 1.6, 0, 1) ** 2
        lashes = np.exp(-(((y - shut) / (0.030 * self._width)) ** 2)) * self._lash_taper
        below = np.exp(-np.clip(y - shut, 0, None) / (0.07 * self._width)) * (y > shut)
        open_part = np.clip(self._gap / (0.1 * self._width), 0, 1) * self._fade
        light = round_off * (1 - 0.72 * lashes * open_part) * (1 - 0.30 * below * open_part)
        return (
            self._here + shift.astype(np.float32),
            cover[..., None].astype(np.float32),
            light[..., None].astype(np.float32),
        )


class Eyes:
    """Both eyes of a head, painted into its enlarged source only when they change."""

    def __init__(
        self,
        source: NDArray[np.uint8],
        points: NDArray[np.float64],
        corner: tuple[int, int],
        scale: int,
    ) -> None:
        def places(indices: tuple[int, ...]) -> NDArray[np.float64]:
            return (points[list(indices), :2] - corner) * scale + (scale - 1) / 2

        self._source = source
        self._eyes = [
            Eye(source, places(upper), places(lower), places(brow))
            for upper, lower, brow in (
                (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.RIGHT_BROW_LOWER),
                (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER, mesh.LEFT_BROW_LOWER),
            )
        ]
        self._painted = (0, 0.0, 0.0)

    def set(self, *, closed: float, look: tuple[float, float]) -> None:
        """Bring the source's eyes to a state; see `Eye.paint`."""
        state = (round(closed * LID_LEVELS), round(look[0], 3), round(look[1], 3))
        if state != self._painted:
            for eye in self._eyes:
                eye.paint(self._source, closed=closed, look=(state[1], state[2]))
            self._painted = state
