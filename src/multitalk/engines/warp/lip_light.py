"""Light on the lips: what a camera sees of their coming forward and of their touching.

Rounded lips are pushed out. From in front that moves hardly a pixel; it shows as a highlight on the
lower lip, shade under it and at the corners.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.mouth import Aperture
from multitalk.engines.warp.mouth_parts import blurred

BLOB_PIXELS = 32  # side of the one soft spot that all light is made of: +-2.5 standard deviations
# Place between the inner (0) and the outer (1) edge of a lip, half sizes in mouth widths, gain.
LOWER_LIP_SHINE = (0.45, 0.15, 0.045, 0.22)
UPPER_LIP_SHINE = (0.75, 0.14, 0.030, 0.10)
CHIN_SHADE = (1.7, 0.22, 0.060, -0.13)
# Of what lies along closed lips: thickness and blur in mouth widths, cover, brightness of the red.
CONTACT = ((0.022, 0.012, 0.80, 0.80), (0.010, 0.010, 0.60, 0.25))
CORNER_SHADE = (0.09, 0.08, -0.20)


class LipLight:
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
            cover = blurred(line.astype(np.float32), max(0.7, self._width * soft))
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
