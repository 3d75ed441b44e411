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
from multitalk.engines.warp.eye_geometry import LidGeometry
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Lengths are in eye widths, and set by eye, unless another unit or source is given.
MOVING_GAP = (0.06, 0.2)  # gaps between the lids, over which the eye in them begins to move
SIDEWAYS_FADE = (-0.15, 0.35)  # shares of the gap inside a lid, over which it begins sideways
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
IRIS_REACH = 1.15  # radii around the iris's centre


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

    Args:
        base: The patch, uint8 [h, w, C].
        place: Where its pixels are.
        width: Of the eye, pixels.
        iris: In pixels of the patch; None: catchlights are not separated.
    """

    def __init__(
        self, base: NDArray[np.uint8], place: LidGeometry, width: float, iris: Iris | None
    ) -> None:
        self._base = base
        self._width = width
        weights = np.stack(_weights(place, width), -1).astype(np.float32)
        rows, columns = (_span(weights.max((axis, 2))) for axis in (1, 0))
        self._moving = rows, columns
        self._weights = weights[self._moving]
        u, v = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in weights.shape[1::-1]))
        self._here = np.stack([u, v], -1)[self._moving]
        light = _catchlight(base, iris) if iris is not None else None
        self._unlit = base if light is None else np.clip(base - light, 0, 255).astype(np.uint8)
        self._light: tuple[slice, slice, Array] | None = None
        if light is not None:
            margin = round(FARTHEST * width)
            lit = light.max(-1)
            rows, columns = (_span(lit.max(axis), margin) for axis in (1, 0))
            self._light = rows, columns, np.ascontiguousarray(light[rows, columns])

    def shifted(self, look: tuple[float, float]) -> NDArray[np.uint8]:
        """The patch with its eye moved by (right, down), eye widths: uint8 [h, w, C]."""
        if look == (0.0, 0.0):
            return self._base
        shift = np.array(look, np.float32) * self._width
        moved = self._base.copy()
        eye = cv2.remap(
            self._unlit,
            self._here - self._weights * shift,
            None,  # type: ignore[call-overload]
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        moved[self._moving] = eye
        if self._light is not None:
            rows, columns, light = self._light
            x, y = (CATCHLIGHT_FOLLOWS * shift).tolist()
            size = light.shape[1::-1]
            light = np.asarray(cv2.warpAffine(light, np.array([[1, 0, x], [0, 1, y]]), size))
            part = moved[rows, columns]
            part[:] = np.minimum(part + light, 255).astype(np.uint8)
        return moved


def _weights(place: LidGeometry, width: float) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Share of a look's movement sideways, and of that up or down, of each pixel: [h, w] each."""
    gap = np.maximum(place.gap, 1.0)
    moves = smoothstep(place.gap, MOVING_GAP[0] * width, MOVING_GAP[1] * width)
    below_lid, above_floor = place.y - place.lid, place.floor - place.y
    sideways = smoothstep(below_lid / gap, *SIDEWAYS_FADE) * smoothstep(
        above_floor / gap, *SIDEWAYS_FADE
    )
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


def _catchlight(base: NDArray[np.uint8], iris: Iris) -> Array | None:
    """What the light's reflection adds to the colours of a patch, float32 [h, w, C]; None: nothing.

    A spot is what a morphological opening removes (the white top-hat of F. Meyer, 1979).
    """
    size = max(3, round(SPOT_WIDTH * iris.radius)) | 1
    if not np.isfinite(iris.radius) or min(base.shape[:2]) <= size:
        return None
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    luma = base[..., :3].astype(np.float32) @ LUMA
    brighter = np.asarray(cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, window), np.float32)
    y, x = np.indices(base.shape[:2], np.float32)
    away = np.hypot(x - iris.centre[0], y - iris.centre[1]) / max(iris.radius, 1.0)
    spot = smoothstep(brighter, *SPOT_BRIGHTER) * (away < IRIS_REACH)
    if not spot.any():
        return None
    spread = np.asarray(cv2.dilate(spot.astype(np.float32), np.ones((5, 5), np.uint8)), np.float32)
    cover = gaussian_blur(spread, max(0.5, SPOT_EDGE * iris.radius))[..., None]
    opened = cv2.morphologyEx(base, cv2.MORPH_OPEN, window).astype(np.float32)
    light = np.clip(base - opened, 0, None) * np.minimum(2 * cover, 1)
    light[..., 3:] = 0
    return light.astype(np.float32)


def _span(weights: Array, margin: int = 0) -> slice:
    """From the first to the last line with a weight and a margin; one line where there is none."""
    found = np.flatnonzero(weights)
    if not len(found):
        return slice(0, 1)
    return slice(max(int(found[0]) - margin, 0), int(found[-1]) + 1 + margin)
