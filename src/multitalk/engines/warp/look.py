"""Look: the eyeball of a photograph turned between its lids, which follow it up and down.

The catchlight is the light's reflection on the cornea. It does not stick to the iris: it is taken
out of the photograph and moved by itself.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Lengths are in eye widths, and set by eye, unless another unit or source is given.
MOVING_GAP = (0.06, 0.2)  # gaps between the lids, over which the eye in them begins to move
# Inside the upper and the lower lid, which has fewer lashes, shares of the gap: over which the eye
# begins to move sideways; and, inside both, to go level rather than along the lid, so that a round
# iris stays round and no lash comes into the eye.
SIDEWAYS_BELOW, SIDEWAYS_ABOVE, LEVEL, STEEPEST = (-0.06, 0.14), (-0.03, 0.07), (0.0, 0.40), 0.8
# The lids go up and down with the eye, the upper one more: shares of its movement at their edges,
# the depth inside the gap (shares) at which it is whole, and the skin over which it ends.
UPPER_FOLLOWS, LOWER_FOLLOWS, WHOLE_INSIDE = 0.65, 0.20, 0.30
UPPER_SKIN, LOWER_SKIN = 0.32, 0.16
ASIDE_FADE = (0.50, 0.75)  # from the eye's centre
# The cornea's centre is about half as far before the eye's centre of rotation as the iris is (5.3
# of 10 mm, the schematic eye of A. Gullstrand), so its reflections move by about half as much.
CATCHLIGHT_FOLLOWS = 0.5
FARTHEST = 0.06  # of a catchlight's movement
# A catchlight: spots at most this share of the iris's radius wide that are this much brighter than
# what is around them, of 255; softness of their edge in radii.
SPOT_WIDTH, SPOT_BRIGHTER, SPOT_EDGE = 0.75, (25.0, 60.0), 0.08
IRIS_REACH = 0.90  # radii around the iris's centre: farther out the white shows in thin pieces


class Iris(NamedTuple):
    """An iris, in source pixels.

    Attributes:
        centre: (x, y).
        radius: Of its outline.
    """

    centre: NDArray[np.float64]
    radius: float

    def moved(self, shift: NDArray[np.int_]) -> "Iris":
        """The iris in coordinates that are shifted by (x, y)."""
        return Iris(self.centre + shift, self.radius)


class Look:
    """Shifts the eye of one patch of a picture.

    Attributes:
        part: Rows and columns of the patch that a look changes.

    Args:
        base: The patch, uint8 [h, w, C].
        place: Where its pixels are.
        iris: In pixels of the patch; None: catchlights are not separated.
    """

    def __init__(self, base: NDArray[np.uint8], place: LidGeometry, iris: Iris | None) -> None:
        self._width = place.width
        weights = _weights(place)
        largest = np.maximum(*weights)
        self.part = span_of(largest.max(1)), span_of(largest.max(0))
        unlit = base
        self._light: tuple[tuple[slice, slice], NDArray[np.uint8]] | None = None
        catchlight = _catchlight(base, place.width, iris) if iris is not None else None
        if catchlight is not None:
            lit, light = catchlight
            unlit = base.copy()
            unlit[lit] = cv2.subtract(base[lit], light)
            self.part = _union(self.part[0], lit[0]), _union(self.part[1], lit[1])
            top, left = (one.start for one in self.part)
            rows, columns = (
                slice(one.start - first, one.stop - first)
                for one, first in zip(lit, (top, left), strict=True)
            )
            self._light = (rows, columns), light
        self._unlit = unlit
        self._still = base[self.part]
        aside, down_up = (np.float32(self._width) * one[self.part] for one in weights)
        right, down = place.axes[1]
        along = aside * _slope(place, self.part)
        # Where a pixel comes from, (x, y), and by how much that changes per eye width of a look.
        y, x = (np.arange(one.start, one.stop, dtype=np.float32) for one in self.part)
        self._here = np.stack(np.meshgrid(x, y), -1)
        self._per_right = np.stack([aside + right * along, down * along], -1).astype(np.float32)
        self._per_down = np.stack([np.zeros_like(along), down_up], -1).astype(np.float32)

    def shifted(self, look: tuple[float, float]) -> NDArray[np.uint8]:
        """The part with its eye moved by (right, down), eye widths: uint8 [h, w, C]."""
        if look == (0.0, 0.0):
            return self._still
        places = cv2.scaleAdd(self._per_right, -look[0], self._here)
        places = cv2.scaleAdd(self._per_down, -look[1], places, dst=places)
        moved = cv2.remap(
            self._unlit,
            places,
            None,  # type: ignore[call-overload]
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if self._light is not None:
            place, light = self._light
            right, down = (CATCHLIGHT_FOLLOWS * self._width * way for way in look)
            shift = np.array([[1, 0, right], [0, 1, down]])
            lit = moved[place]
            cv2.add(lit, cv2.warpAffine(light, shift, light.shape[1::-1]), dst=lit)
        return np.asarray(moved, np.uint8)


def has_catchlight(base: NDArray[np.uint8], width: float, iris: Iris) -> bool:
    """Whether a patch around an eye, uint8 [H, W, C], shows a reflection on its iris.

    Args:
        base: The patch.
        width: Of the eye, pixels.
        iris: In pixels of the patch.
    """
    return _spots(base, width, iris) is not None


def _weights(place: LidGeometry) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Share of a look's movement sideways, and of that up or down, of each pixel: [h, w] each."""
    width = place.width
    gap = np.maximum(place.gap, 1.0)
    moves = smoothstep(place.gap, MOVING_GAP[0] * width, MOVING_GAP[1] * width)
    below_lid, above_floor = place.y - place.lid, place.floor - place.y
    sideways = smoothstep(below_lid / gap, *SIDEWAYS_BELOW)
    sideways = sideways * smoothstep(above_floor / gap, *SIDEWAYS_ABOVE)
    near = 1 - smoothstep(np.abs(place.x) / width, *ASIDE_FADE)
    upper, lower = (
        np.where(
            inside < 0,
            share * (1 - smoothstep(-inside / width, 0, skin)),
            share + (1 - share) * smoothstep(inside / gap, 0, WHOLE_INSIDE),
        )
        for inside, share, skin in (
            (below_lid, UPPER_FOLLOWS, UPPER_SKIN),
            (above_floor, LOWER_FOLLOWS, LOWER_SKIN),
        )
    )
    return sideways * moves, np.minimum(upper, lower) * near * moves


def _slope(place: LidGeometry, part: tuple[slice, slice]) -> Array:
    """Movement down per movement sideways of what is in a part of an eye, [h, w].

    Near a lid it is along it.
    """
    y, lid, floor, gap = (one[part] for one in (place.y, place.lid, place.floor, place.gap))
    level = max(abs(float(place.axes[0][0])), 0.5)
    slope = np.zeros_like(y)
    for line, inside in ((lid, y - lid), (floor, floor - y)):
        along = np.diff(line, axis=1, append=line[:, -1:]) / level
        near = 1 - smoothstep(inside / np.maximum(gap, 1.0), *LEVEL)
        slope += np.clip(along, -STEEPEST, STEEPEST) * near
    return slope.astype(np.float32, copy=False)


def _catchlight(
    base: NDArray[np.uint8], width: float, iris: Iris
) -> tuple[tuple[slice, slice], NDArray[np.uint8]] | None:
    """What the light's reflection adds to the colours of a patch; None: nothing.

    A spot is what a morphological opening removes (the white top-hat of F. Meyer, 1979).

    Args:
        base: uint8 [H, W, C].
        width: Of the eye, pixels.
        iris: In pixels of the patch.

    Returns:
        Rows and columns of a part of the patch, and the light in it, uint8 [h, w, C].
    """
    spots = _spots(base, width, iris)
    if spots is None:
        return None
    rows, columns, spot = spots
    near, margin = base[rows, columns], round(FARTHEST * width)
    spread = np.asarray(cv2.dilate(spot, np.ones((5, 5), np.uint8)), np.float32)
    cover = gaussian_blur(spread, max(0.5, SPOT_EDGE * iris.radius))[..., None]
    opened = cv2.morphologyEx(near, cv2.MORPH_OPEN, _window(iris)).astype(np.float32)
    light = np.round(np.clip(near - opened, 0, None) * np.minimum(2 * cover, 1)).astype(np.uint8)
    light[..., 3:] = 0
    lit = np.maximum.reduce([light[..., channel] for channel in range(light.shape[2])])
    down, across = span_of(lit.max(1), margin), span_of(lit.max(0), margin)
    light = np.ascontiguousarray(light[down, across])
    top, left = rows.start + down.start, columns.start + across.start
    return (slice(top, top + light.shape[0]), slice(left, left + light.shape[1])), light


def _spots(base: NDArray[np.uint8], width: float, iris: Iris) -> tuple[slice, slice, Array] | None:
    """Rows and columns around an iris, and where reflections are in them, 0..1; None: nowhere."""
    if not np.isfinite(iris.radius):
        return None
    window = _window(iris)
    size = len(window)
    if min(base.shape[:2]) <= size:
        return None
    # Nothing beyond so many pixels around the iris has an effect.
    margin = round(FARTHEST * width)
    reach = iris.radius * (IRIS_REACH + 4 * SPOT_EDGE) + size + margin + 5
    rows, columns = (
        slice(max(int(middle - reach), 0), max(min(int(middle + reach) + 1, length), 0))
        for middle, length in zip(iris.centre[::-1], base.shape, strict=False)
    )
    near = base[rows, columns]
    if not near.size:
        return None
    luma = near[..., :3].astype(np.float32) @ LUMA
    brighter = np.asarray(cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, window), np.float32)
    y, x = np.indices(near.shape[:2], np.float32)
    x0, y0 = iris.centre - (columns.start, rows.start)
    away = np.hypot(x - x0, y - y0) / max(iris.radius, 1.0)
    spot = smoothstep(brighter, *SPOT_BRIGHTER) * (away < IRIS_REACH)
    return (rows, columns, spot.astype(np.float32)) if spot.any() else None


def _window(iris: Iris) -> NDArray[np.uint8]:
    """A disc as wide as a spot may be, odd [N, N]."""
    size = max(3, round(SPOT_WIDTH * iris.radius)) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _union(one: slice, other: slice) -> slice:
    return slice(min(one.start, other.start), max(one.stop, other.stop))
