"""Look: the eyeball of a photograph turned between its lids, which follow it up and down.

The iris goes behind the lids as a whole disc, so it stays round. The catchlight is the light's
reflection on the cornea. It does not stick to the iris: it is taken out of the photograph and moved
by itself.
"""

from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, in_channels
from multitalk.engines.warp.eyeball import DARK, Eyeball, Iris
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

_T = TypeVar("_T", bound=np.generic)
UNSTRETCHED = np.eye(2)

# Lengths are in eye widths, and set by eye, unless another unit or source is given.
MOVING_GAP = (0.06, 0.2)  # gaps between the lids, over which these begin to move
# The lids go up and down with the eye, the upper one more: shares of its movement, and the skin
# over which theirs ends.
UPPER_FOLLOWS, LOWER_FOLLOWS = 0.65, 0.20
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


class Look:
    """Turns the eye of one patch of a picture, and moves its lids.

    Attributes:
        part: Rows and columns of the patch that a look changes.

    Args:
        base: The patch, uint8 [h, w, C].
        place: Where its pixels are.
        iris: In pixels of the patch; None: the eye does not turn.
    """

    def __init__(self, base: NDArray[np.uint8], place: LidGeometry, iris: Iris | None) -> None:
        self._width = place.width
        weights = _lid_weights(place)
        largest = np.maximum(*weights)
        self.part = span_of(largest.max(1)), span_of(largest.max(0))
        unlit = base
        self._light: _Light | None = None
        catchlight = _catchlight(base, place.width, iris) if iris is not None else None
        if catchlight is not None:
            lit, light = catchlight
            unlit = base.copy()
            unlit[lit] = cv2.subtract(base[lit], light)
            self._light = _Light(lit, light)
        self._eyeball = eyeball = Eyeball.of(unlit, place, iris) if iris is not None else None
        if self._light is not None:
            self.part = _union(self.part, self._light.part)
        if eyeball is not None:
            self.part = _union(self.part, eyeball.between)
        self._still = base[self.part]
        self._without = unlit if eyeball is None else eyeball.without
        self._axes = place.axes
        # Where a pixel comes from, (x, y), and how that changes per eye width that a lid goes down.
        y, x = (np.arange(one.start, one.stop, dtype=np.float32) for one in self.part)
        self._here = np.stack(np.meshgrid(x, y), -1)
        by_upper, by_lower = (one[self.part][..., None] * place.axes[1] for one in weights)
        self._by_upper = (self._width * by_upper).astype(np.float32)
        self._by_lower = (self._width * by_lower).astype(np.float32)

    def shifted(
        self,
        look: tuple[float, float],
        lids: tuple[float, float] = (0.0, 0.0),
        *,
        height: float = 1.0,
    ) -> NDArray[np.uint8]:
        """The part with its eye turned, uint8 [h, w, C].

        Args:
            look: Shift of the iris (right, down), eye widths.
            lids: Shift down of the upper and of the lower lid, eye widths, beside what follows the
                look.
            height: Of the iris, of its own.
        """
        if look == (0.0, 0.0) and lids == (0.0, 0.0) and height == 1.0:
            return self._still
        upper = UPPER_FOLLOWS * look[1] + lids[0]
        lower = LOWER_FOLLOWS * look[1] + lids[1]
        places = np.asarray(cv2.scaleAdd(self._by_upper, -upper, self._here), np.float32)
        cv2.scaleAdd(self._by_lower, -lower, places, dst=places)
        moved = _remap(self._without, places)
        shift = self._width * (look[0] * self._axes[0] + look[1] * self._axes[1])
        if self._eyeball is not None:
            stretch = np.eye(2) + (height - 1) * np.outer(self._axes[1], self._axes[1])
            way = np.concatenate([stretch, shift[:, None]], 1)
            _put_iris(moved, self._eyeball, way, places, self.part)
        if self._light is not None:
            lit = moved[_within(self._light.part, self.part)]
            cv2.add(lit, _shifted(self._light.colours, CATCHLIGHT_FOLLOWS * shift), dst=lit)
        return np.asarray(moved, np.uint8)


def _put_iris(
    moved: NDArray[np.uint8],
    eye: Eyeball,
    way: NDArray[np.float64],
    places: Array,
    part: tuple[slice, slice],
) -> None:
    """Put an iris, stretched around its centre and shifted by `way` [2, 3], into a part of a patch.

    Its pixels come from `places` (x, y) of the patch, [h, w, 2].
    """
    stretch, shift = way[:, :2], way[:, 2]
    whole = np.floor(shift).astype(int)
    spans = [
        (max(box.start + by, one.start, lids.start), min(box.stop + by, one.stop, lids.stop))
        for box, by, one, lids in zip(eye.part, whole[::-1], part, eye.between, strict=True)
    ]
    if any(end <= start for start, end in spans):
        return
    (top, bottom), (left, right) = (
        (start - box.start - by, end - box.start - by)
        for (start, end), box, by in zip(spans, eye.part, whole[::-1], strict=True)
    )
    fixed = eye.centre - stretch @ eye.centre
    iris = _shifted(eye.iris, shift - whole + fixed, stretch)[top:bottom, left:right]
    here = _within((slice(*spans[0]), slice(*spans[1])), part)
    seen = _remap(eye.seen, np.ascontiguousarray(places[here]))
    # OpenCV's functions are several times faster than numpy's where the last axis is short.
    shown, dark = moved[here], np.full(4, DARK, np.float64)
    colours = cv2.add(np.ascontiguousarray(shown[..., :3]), dark, dtype=cv2.CV_32F)
    cv2.multiply(colours, 1 - in_channels(seen, 3) * iris, dst=colours)
    made = cv2.subtract(colours, dark, dtype=cv2.CV_8U)
    cv2.mixChannels([made], [shown], [0, 0, 1, 1, 2, 2])


class _Light(NamedTuple):
    """What the light's reflection adds to the colours of an eye.

    Attributes:
        part: Rows and columns of the patch.
        colours: uint8 [h, w, C].
    """

    part: tuple[slice, slice]
    colours: NDArray[np.uint8]


def _remap(picture: NDArray[_T], places: Array) -> NDArray[_T]:
    moved = cv2.remap(
        picture,  # type: ignore[call-overload]
        places,
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, picture.dtype)


def _shifted(
    picture: NDArray[_T], shift: NDArray[np.float64], stretch: NDArray[np.float64] = UNSTRETCHED
) -> NDArray[_T]:
    """A picture with nothing around it, shifted by pixels (x, y)."""
    way = np.concatenate([stretch, shift[:, None]], 1)
    moved = cv2.warpAffine(picture, way, picture.shape[1::-1])  # type: ignore[arg-type]
    return np.asarray(moved, picture.dtype)


def has_catchlight(base: NDArray[np.uint8], width: float, iris: Iris) -> bool:
    """Whether a patch around an eye, uint8 [H, W, C], shows a reflection on its iris.

    Args:
        base: The patch.
        width: Of the eye, pixels.
        iris: In pixels of the patch.
    """
    return _spots(base, width, iris) is not None


def _lid_weights(place: LidGeometry) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Share of the movement of the upper and of the lower lid of each pixel, [h, w] each."""
    width = place.width
    gap = np.maximum(place.gap, 1.0)
    moves = smoothstep(place.gap, MOVING_GAP[0] * width, MOVING_GAP[1] * width)
    moves = moves * (1 - smoothstep(np.abs(place.x) / width, *ASIDE_FADE))
    way = np.clip((place.y - place.lid) / gap, 0, 1)  # from the upper lid to the lower one
    above, below = (place.lid - place.y) / width, (place.y - place.floor) / width
    upper = (1 - way) * (1 - smoothstep(above, 0, UPPER_SKIN))
    lower = way * (1 - smoothstep(below, 0, LOWER_SKIN))
    return moves * upper, moves * lower


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


def _union(one: tuple[slice, slice], other: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns


def _within(inner: tuple[slice, slice], outer: tuple[slice, slice]) -> tuple[slice, slice]:
    """Rows and columns of a patch, counted from the first ones of a part."""
    rows, columns = (
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True)
    )
    return rows, columns
