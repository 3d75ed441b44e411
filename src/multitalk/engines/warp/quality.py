"""Quality presets: how much work each `quality` spends on a head."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2

from multitalk.choices import Quality


@dataclass(frozen=True)
class RenderQuality:
    """One preset. All presets move everything in every frame.

    Attributes:
        source_scale: Source pixels per picture pixel. The source is enlarged once by a good filter,
            so that bilinear sampling is enough in every frame.
        source_filter: OpenCV interpolation flag of that filter.
        sharpening: What the source gains before it is enlarged: shares of 1 - cos(w) and of
            1 - cos(2 w), for waves of w radians a pixel, along rows and again along columns.
        lattice_steps: Steps of the displacement lattice per face height.
        lit: Whether lip shading and smile folds follow the pose.
    """

    source_scale: int
    source_filter: int
    sharpening: tuple[float, float]
    lattice_steps: int
    lit: bool


# As much as enlarging and then sampling take, on average over where between pixels a sample falls:
# .02, .06, .13 and .22 of .2, .25, .3 and .35 waves a pixel with a cubic filter, of which less than
# .04 are left; .01, .02 and .03 of the last three with a fourfold Lanczos filter.
SHARP_TWOFOLD, SHARP_FOURFOLD = (0.20, -0.06), (0.02, 0.0)

QUALITIES: Mapping[Quality, RenderQuality] = MappingProxyType(
    {
        "draft": RenderQuality(1, cv2.INTER_NEAREST, (0, 0), 28, lit=False),
        "standard": RenderQuality(2, cv2.INTER_CUBIC, SHARP_TWOFOLD, 40, lit=True),
        "fine": RenderQuality(4, cv2.INTER_LANCZOS4, SHARP_FOURFOLD, 40, lit=True),
    }
)
