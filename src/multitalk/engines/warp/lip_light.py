"""Light between the lips: their shadow, the lining of the corners, the lower lip's wet inner side.

All of it is soft: filmed lips roll inwards, so that their edge is a gradient and not a line. Levels
were fitted to films of speakers: luma across both edges, in the middle and towards the corners.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import mix_in, three_channels
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Both lips' shadow: the share of the opening that is seen from behind it, so narrow gaps and ends
# are dark. Blur and shift (mouth widths; the light is from above), light where nothing of the
# opening is seen (of lips that hardly part, and that are wide apart), that where all is, and what
# rounded lips take.
SHADOW_BLUR, SHADOW_SHIFT, ROUNDED_DARKER = 0.027, 0.033, 0.25
LIP_LIGHT, FULL_LIGHT = (0.24, 0.54), 1.14
# Share of the lips' hue in the light that comes into the shade: on films teeth in narrow gaps have
# by 3 to 5 % more red and less blue than in wide ones.
SHADE_RED = 0.3
LIT_GAP = 0.17  # mouth widths: lip gap from which all that is behind the lips is lit
# Less light comes in beside the middle of narrow gaps: share that is lost at the corners.
SIDE_SHADE = 0.25
# The lower lip's wet inner side: its colour as a share of the red's, cover, lip gap (mouth widths)
# of full cover, its place in the blurred opening, and by what share more it covers at the corners.
WET = np.array([0.84, 0.72, 0.72], np.float32)
WET_COVER, WET_GAP, WET_OUTER, WET_OUTER_FADE, WET_INNER = 0.30, 0.12, 0.50, 0.35, (0.30, 0.80)
WET_CORNERS = 1.6
# The lining of the cheek, which closes the corners: light of the lips' red where lips hardly part
# and where they are wide open, that gap (mouth widths), and the share of the mouth's width from a
# corner over which it ends.
LINING_LIGHT, LINING_GAP, LINING_ENDS = (0.84, 0.26), 0.34, 0.28
# Around the opening: blur of a dark rim (mouth widths), its darkness, how far the opening is as
# soft as that rim at the corners, and the share of the mouth's width over which that ends.
RIM_BLUR, RIM_DARK, CORNERS_SOFT, SOFT_ENDS = 0.024, 0.12, 0.7, 0.42


@dataclass(frozen=True)
class LipLight:
    """Shades what is between one face's lips.

    Attributes:
        width: Of the mouth, pixels.
        down: Unit vector down the face, picture [2].
        red: Colour of the lips, RGB 0..255 [3].
        inner_lip: Colour of the lower lip's inner side, likewise.
    """

    width: float
    down: NDArray[np.float64]
    red: Array
    inner_lip: Array

    @property
    def reddening(self) -> list[float]:
        """What shade takes from each channel beside its light: lips throw red into it."""
        return (SHADE_RED * (1 - self.red / max(float(self.red.max()), 1.0))).tolist()

    def lit(self, opened: float) -> float:
        """0 where lips hardly part, 1 from the gap (mouth widths) on that lights all behind."""
        return min(opened / LIT_GAP, 1.0)

    def shade(
        self,
        inside: Array,
        opening: Array,
        along: Array,
        *,
        opened: float,
        rounding: float,
        spoken: float,
    ) -> None:
        """Shade the mouth's inside, in place: darker near the lips, most under the upper one.

        Along the lower lip its wet inner side turns into view, the more the wider the mouth.

        Args:
            inside: float32 [h, w, 3].
            opening: Its cover, float32 [h, w].
            along: 0 at one corner of the mouth, 1 at the other, float32 [h, w].
            opened: Largest lip gap, mouth widths.
            rounding: 0..1.
            spoken: 0 keeps an open photograph's own mouth, 1 draws a speaking one.
        """
        corners = near_corners(along, LINING_ENDS)
        wide = min(opened / LINING_GAP, 1.0)
        lining = np.float32(LINING_LIGHT[0] + (LINING_LIGHT[1] - LINING_LIGHT[0]) * wide)
        mix_in(inside, lining * self.red, np.float32(spoken) * corners)
        soft = gaussian_blur(opening, max(1.0, self.width * SHADOW_BLUR))
        lowered, raised = (self._shifted(soft, way * SHADOW_SHIFT) for way in (1, -1))
        lit = self.lit(opened)
        at_lip = LIP_LIGHT[0] + (LIP_LIGHT[1] - LIP_LIGHT[0]) * lit
        light = np.clip(at_lip + (FULL_LIGHT - at_lip) * lowered, 0, 1)
        light *= (1 - ROUNDED_DARKER * rounding) * (
            1 - np.float32(SIDE_SHADE * (1 - lit) * spoken) * np.abs(2 * along - 1)
        )
        dark = light * (1 - light)
        channels = [(light - share * dark).astype(np.float32) for share in self.reddening]
        inside *= cv2.merge(channels)
        outer = smoothstep(WET_OUTER - raised, 0, WET_OUTER_FADE)
        wet = outer * smoothstep(lowered, *WET_INNER) * (1 + WET_CORNERS * corners)
        wet *= WET_COVER * spoken * min(opened / WET_GAP, 1.0)
        mix_in(inside, self.inner_lip, wet.astype(np.float32, copy=False))

    def join(self, view: Array, inside: Array, opening: Array, along: Array) -> None:
        """Put the mouth's inside between the lips of a view [h, w, 3], in place.

        The lips darken towards the opening, whose ends are softer than its middle.
        """
        around = gaussian_blur(opening, max(1.0, self.width * RIM_BLUR))
        softness = np.float32(CORNERS_SOFT) * near_corners(along, SOFT_ENDS)
        cover = opening + softness * (around - opening)
        rim = np.clip(around - cover, 0, 1)
        view *= three_channels(1 - np.float32(RIM_DARK) * rim)
        view += (inside - view) * three_channels(cover)

    def _shifted(self, cover: Array, down: float) -> Array:
        """A cover moved by `down` mouth widths."""
        shift = self.down * self.width * down
        transform = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        return cv2.warpAffine(cover, transform, cover.shape[::-1]).astype(np.float32, copy=False)


def near_corners(along: Array, ends: float) -> Array:
    """1 at both corners of a mouth, 0 from the share `ends` of its width on: [h, w]."""
    near = 1 - smoothstep(0.5 - np.abs(along - 0.5), 0, ends)
    return near.astype(np.float32, copy=False)
