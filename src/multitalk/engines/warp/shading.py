"""Light on the lips: what a camera sees of their coming forward and of their touching.

Rounded lips are pushed out. From in front that moves hardly a pixel; it shows as a highlight on the
lower lip, shade under it and at the corners.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.expressions import smile_strength
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.mouth import Aperture
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep
from multitalk.face import mesh

BLOB_PIXELS = 32  # side of the one soft spot that all light is made of: +-2.5 standard deviations
# Place between the inner (0) and the outer (1) edge of a lip, half sizes in mouth widths, gain.
LOWER_LIP_SHINE = (0.45, 0.15, 0.045, 0.22)
UPPER_LIP_SHINE = (0.75, 0.14, 0.030, 0.10)
CHIN_SHADE = (1.7, 0.22, 0.060, -0.13)
# Of what lies along closed lips: thickness and blur in mouth widths, cover, brightness of the red.
CONTACT = ((0.022, 0.012, 0.80, 0.80), (0.010, 0.010, 0.60, 0.25))
CORNER_SHADE = (0.09, 0.08, -0.20)


class LipShading:
    """Lights the lips of one face.

    Args:
        across: Unit vector from the person's right to their left, picture [2].
        down: Unit vector down the face.
        width: Of the mouth, pixels.
        skin: Colour of the skin around it, RGB [3]. Skin in shade is redder, that in light paler.
        red: Colour of the lips, RGB [3].
    """

    def __init__(
        self,
        across: NDArray[np.float64],
        down: NDArray[np.float64],
        width: float,
        skin: Array,
        red: Array,
    ) -> None:
        self._across, self._down, self._width = across, down, width
        self._red = red
        self._effect = np.clip(2 - skin / max(float(skin.mean()), 1.0), 0.5, 1.5)
        t = np.linspace(-2.5, 2.5, BLOB_PIXELS)
        bell = np.exp(-(t**2) / 2) - np.exp(-(2.5**2) / 2)
        self._blob = np.clip(np.outer(bell, bell), 0, None).astype(np.float32)

    def push_out(
        self,
        region: Array,
        corner: tuple[int, int],
        aperture: Aperture,
        outer: tuple[Array, Array],
        rounding: float,
    ) -> None:
        """Make the lips look pushed out, in place.

        Args:
            region: float32 [h, w, 3] of the frame around the mouth.
            corner: Frame place (x, y) of its first pixel.
            aperture: The inner edges of the lips in this frame.
            outer: Where the middles of the upper and lower lip's outer edges are, (x, y) each.
            rounding: 0..1.
        """
        middle = len(aperture.seam) // 2
        upper, lower = aperture.upper[middle], aperture.lower[middle]
        light = np.zeros(region.shape[:2], np.float32)
        for (along, wide, high, gain), inner, edge in (
            (LOWER_LIP_SHINE, lower, outer[1]),
            (UPPER_LIP_SHINE, upper, outer[0]),
            (CHIN_SHADE, lower, outer[1]),
        ):
            self._spot(light, inner + along * (edge - inner) - corner, wide, high, gain * rounding)
        wide, high, gain = CORNER_SHADE
        for place in (aperture.seam[0], aperture.seam[-1]):
            self._spot(light, place - corner, wide, high, gain * rounding)
        region *= cv2.merge([1 + light * np.float32(effect) for effect in self._effect])

    def contact_line(
        self, region: Array, corner: tuple[int, int], aperture: Aperture, strength: float
    ) -> None:
        """Draw the line between closed lips, in place: an open photograph has none to show.

        Under it lies a band of the lips' red: beside its landmarks teeth and gums may show.
        """
        points = np.round((aperture.seam[2:-2] - corner) * 16).astype(np.int32)
        for wide, soft, share, colour in CONTACT:
            line = np.zeros(region.shape[:2], np.uint8)
            thickness = max(1, int(self._width * wide))
            cv2.polylines(line, [points], False, 255, thickness, cv2.LINE_AA, 4)
            cover = gaussian_blur(line.astype(np.float32), max(0.7, self._width * soft))
            cover *= np.float32(share * strength / 255)
            region += (colour * self._red - region) * cover[..., None]

    def _spot(
        self, light: Array, place: NDArray[np.floating], wide: float, high: float, gain: float
    ) -> None:
        """Add a soft spot of standard deviations `wide` and `high` (mouth widths) to `light`."""
        pixels = self._width * 5 / BLOB_PIXELS  # of the region, for one of the blob's
        linear = np.stack([self._across * wide, self._down * high], 1) * pixels
        reach = np.abs(linear).sum(1) * BLOB_PIXELS / 2 + 1
        low = np.maximum(np.floor(place - reach).astype(int), 0)
        end = np.minimum(np.ceil(place + reach).astype(int) + 1, light.shape[::-1])
        if (end <= low).any():
            return
        start = place - low - linear @ np.full(2, (BLOB_PIXELS - 1) / 2)
        transform = np.concatenate([linear, start[:, None]], 1)
        width, height = (int(n) for n in end - low)
        part = light[low[1] : end[1], low[0] : end[0]]
        part += np.float32(gain) * cv2.warpAffine(self._blob, transform, (width, height))


# From the nose's wing down past the mouth's corner, on the person's right and left.
FOLDS = (mesh.RIGHT_NASOLABIAL_FOLD, mesh.LEFT_NASOLABIAL_FOLD)
REACH = 0.075  # face widths on each side of that line in which the fold lies
FINEST, BROADEST = 0.004, 0.075  # sizes of such shadows, in face widths
SMOOTH = 0.020  # how softly what is filled in begins, in face widths
LEVELS = 16  # of faintness that are told apart
MOST_LIGHT = 2.2  # by which a shadow is lit at most


class SmileFolds:
    """The folds of one face, painted into its enlarged source only when they change.

    Args:
        source: uint8 [H, W, C], the picture to be painted.
        points: Landmarks, [478, 3] pixels of the picture.
        frame: The head's sizes.
        corner: Picture place (x, y) of the source's first pixel.
        scale: Source pixels for one of the picture.
    """

    def __init__(
        self,
        source: NDArray[np.uint8],
        points: NDArray[np.float64],
        frame: HeadFrame,
        corner: tuple[int, int],
        scale: int,
    ) -> None:
        self._source = source
        self._painted = 0
        self._patches = []
        smile = smile_strength(frame)
        if smile == 0:
            return
        places = (points[:, :2] - corner) * scale + (scale - 1) / 2
        size = frame.width * scale
        for fold in FOLDS:
            line = places[list(fold)]
            limit = np.array(source.shape[1::-1])
            low = np.maximum((line.min(0) - REACH * size).astype(int), 0)
            high = np.minimum((line.max(0) + REACH * size).astype(int), limit)
            if (high - low < 3).any():
                continue
            rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
            base = source[rows, columns].copy()
            near = _near(line - low, places - low, base.shape[:2], REACH * size)
            light = _light_without_shadows(base[..., :3], size)
            extra = np.zeros(base.shape, np.float32)
            strength = min(1.0, 2 * smile)  # half a smile has whole folds
            extra[..., :3] = strength * near[..., None] * (light - 1)
            self._patches.append((rows, columns, base, extra))

    def update(self, faintness: float) -> None:
        """Bring the source's folds to a state: 0 as in the photograph, 1 as good as gone."""
        level = round(faintness * LEVELS)
        if level == self._painted:
            return
        self._painted = level
        for rows, columns, base, extra in self._patches:
            light = 1 + extra * np.float32(level / LEVELS)
            self._source[rows, columns] = cv2.multiply(base, light, dtype=cv2.CV_8U)


def _near(
    line: NDArray[np.float64],
    places: NDArray[np.float64],
    size: tuple[int, int],
    reach: float,
) -> Array:
    """1 on a fold, 0 from `reach` on and on the lips and the nose: [h, w]."""
    away = np.ones(size, np.uint8)
    cv2.polylines(away, [np.round(line).astype(np.int32)], False, 0, 1)
    near = 1 - smoothstep(_distance(away), 0.35 * reach, reach)
    kept = np.ones(size, np.uint8)
    lips = [*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER[::-1]]
    cv2.fillPoly(kept, [np.round(places[lips]).astype(np.int32)], 0)
    nose = cv2.convexHull(np.round(places[list(mesh.NOSE_BASE)]).astype(np.int32))
    cv2.fillPoly(kept, [nose], 0)
    # The lips themselves keep their own shade.
    room = smoothstep(_distance(kept), 0.05 * reach, 0.35 * reach)
    return (near * room).astype(np.float32)


def _distance(away: NDArray[np.uint8]) -> Array:
    """Pixels to the nearest 0: [h, w]."""
    return cv2.distanceTransform(away, cv2.DIST_L2, 5).astype(np.float32, copy=False)


def _light_without_shadows(skin: NDArray[np.uint8], size: float) -> Array:
    """By what to multiply each pixel for its narrow, soft shadows to vanish: [h, w, 3], 1 or more.

    Each colour by itself: skin in shade is redder, too.
    """
    smooth = gaussian_blur(skin.astype(np.float32), FINEST * size)
    across = int(BROADEST * size) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    closed = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, disc).astype(np.float32, copy=False)
    filled = gaussian_blur(closed, SMOOTH * size)
    return np.clip(filled / np.maximum(smooth, 8), 1, MOST_LIGHT).astype(np.float32)
