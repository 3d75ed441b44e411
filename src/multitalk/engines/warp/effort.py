"""How much work goes into a picture: what each quality draws, and what a draft goes without."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2

from multitalk.schema import Quality


@dataclass(frozen=True)
class Effort:
    """What one quality spends on each head. Everything moves in every frame of all.

    Attributes:
        source_scale: Pixels of the source, enlarged once, for one of the picture. A good filter
            once makes a cheap one good enough in every frame.
        source_filter: OpenCV's name of that good filter.
        lattice_steps: Of the fields' lattice, for one face height.
        lit: Whether rounded lips catch the light and the folds of a smile fade with it.
    """

    source_scale: int
    source_filter: int
    lattice_steps: int
    lit: bool


EFFORTS: Mapping[Quality, Effort] = MappingProxyType(
    {
        "draft": Effort(1, cv2.INTER_NEAREST, 28, lit=False),
        "standard": Effort(2, cv2.INTER_CUBIC, 40, lit=True),
        "fine": Effort(4, cv2.INTER_LANCZOS4, 40, lit=True),
    }
)
