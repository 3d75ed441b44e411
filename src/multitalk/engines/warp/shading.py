"""Shading that follows the pose: protruding lips, the line between closed lips, smile folds.

Rounded lips are pushed out. Seen from the front that moves hardly a pixel; it shows as a highlight
on the lower lip and as shade under it and at the corners. The folds of a smile are shadows: moving
them with the skin is not enough, they must fade. All numbers are set by eye. How the light on the
rest of the skin changes is in `skin_light`.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.aperture import Aperture
from multitalk.engines.warp.colour import mix_in
from multitalk.engines.warp.expressions import smile_strength
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import (
    close_shadows,
    gaussian_blur,
    smoothstep,
    spline_through,
)
from multitalk.face import mesh


class Spot(NamedTuple):
    """A soft elliptic spot of light or shade.

    Attributes:
        along: Position between the inner (0) and the outer (1) edge of a lip.
        wide: Standard deviation across, mouth widths.
        high: Standard deviation down, mouth widths.
        gain: Change of brightness for rounding 1.
    """

    along: float
    wide: float
    high: float
    gain: float


class ContactLine(NamedTuple):
    """A line along closed lips.

    Attributes:
        thickness: Mouth widths.
        blur: Mouth widths.
        cover: 0..1, in its middle.
        brightness: Share of the lips' red.
    """

    thickness: float
    blur: float
    cover: float
    brightness: float


LOWER_LIP_SHINE = Spot(0.45, 0.15, 0.045, 0.12)
UPPER_LIP_SHINE = Spot(0.75, 0.14, 0.030, 0.06)
CHIN_SHADE = Spot(1.6, 0.24, 0.070, -0.08)
CORNER_SHADE = Spot(0.0, 0.09, 0.08, -0.10)
# A band of red, in case teeth or gums show beside the landmarks; the dark line on top. On films the
# line has .55 to .75 of the luma of the darker lip, and is .035 to .06 mouth widths thick.
CONTACT = (ContactLine(0.030, 0.014, 0.85, 0.86), ContactLine(0.012, 0.014, 0.44, 0.25))
# Towards the corners the line fades: shares of its cover, and of its length that is left out.
LINE_TAPERS = ((0.3, 0.03), (0.55, 0.11), (0.8, 0.20), (1.0, 0.30))
LINE_STEP = 3  # points of the seam from one drawn one to the next: within .05 pixels of it
BLOB_PIXELS, BLOB_DEVIATIONS = 32, 2.5  # side and half side of the spots' template
TINT_LIMITS = (0.5, 1.5)  # of the effect on a channel: skin in shade is redder, in light paler

# Smile folds, in face widths: reach beside the fold's line, sizes of the shadows that fade, and the
# blur of their replacement.
FOLD_REACH = 0.075
FINEST, BROADEST = 0.004, 0.075
FOLD_BLUR = 0.020
FOLD_STEPS = 6  # samples between two landmarks of a fold
FOLD_CORE, LIPS_MARGIN, LIPS_FADE = 0.35, 0.05, 0.35  # shares of the reach
FADE_LEVELS = 16  # distinct states of fading
MAX_LIGHTENING = 2.2  # factor
UNSEEN = 1 / 1024  # change of the light's share that no pixel shows
DARKEST = 8  # of 255: below it the factor would be noise


class LipShading:
    """Shades the lips of one face."""

    def __init__(
        self,
        across: NDArray[np.float64],
        down: NDArray[np.float64],
        width: float,
        skin: Array,
        red: Array,
    ) -> None:
        """Prepare to shade.

        Args:
            across: Unit vector from the person's right to their left, picture [2].
            down: Unit vector down the face.
            width: Of the mouth, pixels.
            skin: Colour of the skin around it, RGB [3].
            red: Colour of the lips, RGB [3].
        """
        self._width = width
        self._red = red
        self._tint = np.clip(2 - skin / max(float(skin.mean()), 1.0), *TINT_LIMITS)
        t = np.linspace(-BLOB_DEVIATIONS, BLOB_DEVIATIONS, BLOB_PIXELS)
        bell = np.exp(-(t**2) / 2) - np.exp(-(BLOB_DEVIATIONS**2) / 2)
        self._blob = np.clip(np.outer(bell, bell), 0, None).astype(np.float32)
        # From pixels of the spots' template to those of the region, for each spot.
        pixels = width * 2 * BLOB_DEVIATIONS / BLOB_PIXELS
        self._shapes = {
            spot: np.stack([across * spot.wide, down * spot.high], 1) * pixels
            for spot in (LOWER_LIP_SHINE, UPPER_LIP_SHINE, CHIN_SHADE, CORNER_SHADE)
        }
        self._reaches = {
            spot: np.abs(linear).sum(1) * BLOB_PIXELS / 2 + 1
            for spot, linear in self._shapes.items()
        }

    def push_out(
        self,
        view: NDArray[np.uint8],
        corner: tuple[int, int],
        aperture: Aperture,
        outer: tuple[Array, Array],
        rounding: float,
    ) -> None:
        """Make the lips look pushed out, in place.

        Args:
            view: Of the layer around the mouth, uint8 [h, w, 4].
            corner: Frame position (x, y) of its first pixel.
            aperture: The inner edges of the lips in this frame.
            outer: Middles of the upper and the lower lip's outer edges, (x, y) each.
            rounding: 0..1.
        """
        middle = len(aperture.seam) // 2
        upper, lower = aperture.upper[middle], aperture.lower[middle]
        spots = (
            (LOWER_LIP_SHINE, lower + LOWER_LIP_SHINE.along * (outer[1] - lower)),
            (UPPER_LIP_SHINE, upper + UPPER_LIP_SHINE.along * (outer[0] - upper)),
            (CHIN_SHADE, lower + CHIN_SHADE.along * (outer[1] - lower)),
            (CORNER_SHADE, aperture.seam[0]),
            (CORNER_SHADE, aperture.seam[-1]),
        )
        reached = [
            (place - self._reaches[spot], place + self._reaches[spot]) for spot, place in spots
        ]
        low = np.floor(np.min([first for first, _ in reached], 0) - corner).astype(int).clip(0)
        high = np.ceil(np.max([last for _, last in reached], 0) - corner).astype(int).clip(0) + 1
        view = view[low[1] : high[1], low[0] : high[0]]
        if not view.size:
            return
        light = np.zeros(view.shape[:2], np.float32)
        for spot, place in spots:
            self._add_spot(light, place - low - corner, spot, rounding)
        gains = [1 + light * np.float32(tint) for tint in self._tint]
        gain = cv2.merge([*gains, np.ones_like(light)])
        cv2.multiply(view, gain, dst=view, dtype=cv2.CV_8U)

    def contact_line(
        self, region: Array, corner: tuple[int, int], aperture: Aperture, strength: float
    ) -> None:
        """Draw the line between closed lips, in place, for a photograph with open ones."""
        points = np.round((aperture.seam - corner) * 16).astype(np.int32)
        # Light between the lips is reflected more than once: their shade is redder than they are.
        deep = self._red * self._red / max(float(self._red.max()), 1.0)
        for one, colour in zip(CONTACT, (self._red, deep), strict=True):
            line = np.zeros(region.shape[:2], np.uint8)
            thickness = max(1, round(self._width * one.thickness))
            for share, ends in LINE_TAPERS:
                left_out = max(1, round(ends * len(points)))
                part = points[left_out:-left_out]
                part = np.concatenate([part[:-1:LINE_STEP], part[-1:]])
                cv2.polylines(line, [part], False, share * 255, thickness, cv2.LINE_AA, 4)
            cover = gaussian_blur(line.astype(np.float32), max(0.7, self._width * one.blur))
            # A line is the fainter for its blur, the fewer pixels it is thick.
            cover *= np.float32(one.cover * strength / max(float(cover.max()), 1.0))
            mix_in(region, one.brightness * colour, cover)

    def _add_spot(
        self, light: Array, place: NDArray[np.floating], spot: Spot, rounding: float
    ) -> None:
        """Add a spot, centred at pixel `place`, to `light` [h, w]."""
        linear = self._shapes[spot]
        reach = self._reaches[spot]
        low = np.maximum(np.floor(place - reach).astype(int), 0)
        end = np.minimum(np.ceil(place + reach).astype(int) + 1, light.shape[::-1])
        if (end <= low).any():
            return
        start = place - low - linear.sum(1) * ((BLOB_PIXELS - 1) / 2)
        transform = np.concatenate([linear, start[:, None]], 1)
        width, height = (int(n) for n in end - low)
        part = light[low[1] : end[1], low[0] : end[0]]
        gain = np.float32(spot.gain * rounding)
        part += gain * cv2.warpAffine(self._blob, transform, (width, height))


class _Fold(NamedTuple):
    """One fold of the source picture.

    Attributes:
        place: Rows and columns of the source that change.
        base: As photographed, uint8 [h, w, C].
        faded: As it is where a smile fades, uint8 [h, w, C].
    """

    place: tuple[slice, slice]
    base: NDArray[np.uint8]
    faded: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        source: NDArray[np.uint8],
        places: NDArray[np.float64],
        line: tuple[int, ...],
        size: float,
        strength: float,
    ) -> "_Fold | None":
        """Prepare one fold; None: it is outside the source, or does not change.

        Args:
            source: uint8 [H, W, C].
            places: Landmarks in it, [478, 2] pixels.
            line: Landmarks of the fold.
            size: Face width, pixels of the source.
            strength: How much of the fold a smile has made, 0..1.
        """
        curve, reach = places[list(line)], FOLD_REACH * size
        low = np.maximum((curve.min(0) - reach).astype(int), 0)
        high = np.minimum((curve.max(0) + reach).astype(int), source.shape[1::-1])
        if (high - low < 3).any():
            return None
        patch = source[low[1] : high[1], low[0] : high[0]]
        near = _near_fold(_from_curve(curve - low, patch), places - low, reach)
        extra = np.zeros(patch.shape, np.float32)
        extra[..., :3] = strength * near[..., None] * (_lightening(patch[..., :3], size) - 1)
        # No pixel shows less, and numbers near the smallest there are cost a processor dearly.
        extra[extra < UNSEEN] = 0
        changes = extra.max(2)
        if not changes.any():
            return None
        inside = span_of(changes.max(1)), span_of(changes.max(0))
        top, left = low[1] + inside[0].start, low[0] + inside[1].start
        base = patch[inside].copy()
        place = slice(top, top + base.shape[0]), slice(left, left + base.shape[1])
        faded = cv2.multiply(base, 1 + extra[inside], dtype=cv2.CV_8U)
        return cls(place, base, faded.astype(np.uint8, copy=False))


class SmileFolds:
    """The nasolabial folds of one face, repainted in its enlarged source when their state changes.

    The shadow of a fold is narrow. Narrower details (pores, hairs) and wider ones (the cheek's own
    shading) stay.
    """

    def __init__(
        self,
        source: NDArray[np.uint8],
        points: NDArray[np.float64],
        frame: HeadFrame,
        corner: tuple[int, int],
        scale: int,
    ) -> None:
        """Prepare to repaint.

        Args:
            source: uint8 [H, W, C], modified by `update`.
            points: Landmarks, [478, 3] pixels of the picture.
            frame: Of the head.
            corner: Picture position (x, y) of the source's first pixel.
            scale: Source pixels per picture pixel.
        """
        self._source = source
        self._level = 0
        places = (points[:, :2] - corner) * scale + (scale - 1) / 2
        size = frame.width * scale
        strength = min(1.0, 2 * smile_strength(frame))  # half a smile has full folds
        lines = (mesh.RIGHT_NASOLABIAL_FOLD, mesh.LEFT_NASOLABIAL_FOLD) if strength > 0 else ()
        folds = (_Fold.of(source, places, line, size, strength) for line in lines)
        self._folds = [fold for fold in folds if fold is not None]

    def update(self, fading: float) -> None:
        """Repaint the folds.

        Args:
            fading: Of a smile's own, 0 as in the photograph, 1 nearly gone.
        """
        level = round(fading * FADE_LEVELS)
        if level == self._level:
            return
        self._level = level
        share = level / FADE_LEVELS
        for fold in self._folds:
            view = self._source[fold.place]
            cv2.addWeighted(fold.faded, share, fold.base, 1 - share, 0, dst=view)


def _from_curve(line: NDArray[np.float64], patch: NDArray[np.uint8]) -> Array:
    """Distance from a smooth curve through points [N, 2] in a patch [h, w, C], pixels [h, w]."""
    away = np.ones(patch.shape[:2], np.uint8)
    curve = spline_through(line, steps=FOLD_STEPS)
    cv2.polylines(away, [np.round(curve).astype(np.int32)], False, 0, 1)
    return _distance(away)


def _near_fold(away: Array, places: NDArray[np.float64], reach: float) -> Array:
    """1 on a fold, 0 from `reach` pixels on and on lips and nose: [h, w].

    Args:
        away: Distance from the fold, pixels [h, w].
        places: Landmarks, [N, 2] pixels of the patch.
        reach: Pixels.
    """
    near = 1 - smoothstep(away, FOLD_CORE * reach, reach)
    kept = np.ones(away.shape, np.uint8)
    lips = [*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER[::-1]]
    cv2.fillPoly(kept, [np.round(places[lips]).astype(np.int32)], 0)
    nose = cv2.convexHull(np.round(places[list(mesh.NOSE_BASE)]).astype(np.int32))
    cv2.fillPoly(kept, [nose], 0)
    room = smoothstep(_distance(kept), LIPS_MARGIN * reach, LIPS_FADE * reach)
    return (near * room).astype(np.float32)


def _distance(away: NDArray[np.uint8]) -> Array:
    """Distance to the nearest 0, pixels: [h, w]."""
    return cv2.distanceTransform(away, cv2.DIST_L2, 5).astype(np.float32, copy=False)


def _lightening(skin: NDArray[np.uint8], size: float) -> Array:
    """Factor that removes narrow, soft shadows, 1 or more: [h, w, 3].

    A morphological closing per channel, as skin in shade is also redder. `size` is the face width
    in pixels.
    """
    smooth = gaussian_blur(skin.astype(np.float32), FINEST * size)
    filled = close_shadows(smooth, BROADEST * size, blur=FOLD_BLUR * size)
    return np.clip(filled / np.maximum(smooth, DARKEST), 1, MAX_LIGHTENING).astype(np.float32)
