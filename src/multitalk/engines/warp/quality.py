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
        lattice_steps: Steps of the displacement lattice per face height.
        lit: Whether lip shading and smile folds follow the pose.
    """

    source_scale: int
    source_filter: int
    lattice_steps: int
    lit: bool


QUALITIES: Mapping[Quality, RenderQuality] = MappingProxyType(
    {
        "draft": RenderQuality(1, cv2.INTER_NEAREST, 28, lit=False),
        "standard": RenderQuality(2, cv2.INTER_CUBIC, 40, lit=True),
        "fine": RenderQuality(4, cv2.INTER_LANCZOS4, 40, lit=True),
    }
)
