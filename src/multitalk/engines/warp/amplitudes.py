"""Amplitudes: how far each expression moves what it moves most."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Amplitude:
    """How far an expression of weight 1 moves what it moves most.

    Positive is outwards from the mouth's middle, down, or away from the viewer. The source of all
    amplitudes: set by eye against photographs and films of speakers, and checked on landmarks that
    were detected again in the result.

    Attributes:
        share: Amplitude in `unit`.
        unit: `lip gap` at `open` = 1, `mouth`, `face` or `height`: widths of mouth and face, face
            height.
    """

    share: float
    unit: str


# By expression and the part that moves.
AMPLITUDES: Mapping[str, Amplitude] = MappingProxyType(
    {
        "open jaw": Amplitude(0.31, "lip gap"),
        "open lower lip": Amplitude(0.59, "lip gap"),  # at its middle, beyond the corners
        "open upper lip": Amplitude(-0.41, "lip gap"),  # likewise
        "open corners down": Amplitude(0.14, "lip gap"),
        "open corners out": Amplitude(0.06, "lip gap"),
        "open smile's corners down": Amplitude(0.14, "lip gap"),
        "spread corners out": Amplitude(0.148 / 2, "mouth"),
        # Corners rise by 0.7 of their way out, as on films, the whole mouth by 0.2 of it.
        "spread corners up": Amplitude(-0.04, "mouth"),
        "spread mouth up": Amplitude(-0.015, "mouth"),
        "spread lower lip thinner": Amplitude(-0.02, "mouth"),
        "spread upper lip thinner": Amplitude(0.012, "mouth"),
        "round lower lip fuller": Amplitude(0.038, "mouth"),
        "round upper lip down": Amplitude(0.018, "mouth"),
        "round upper lip fuller": Amplitude(-0.052, "mouth"),
        "round sides together": Amplitude(0.02, "lip gap"),
        "funnel sides together": Amplitude(1.0, "lip gap"),
        "round jaw": Amplitude(0.04, "mouth"),
        "round forwards": Amplitude(-0.10, "mouth"),
        "press lower lip rolled in": Amplitude(-0.050, "mouth"),
        "press lower lip": Amplitude(-0.010, "mouth"),
        "press upper lip rolled in": Amplitude(0.045, "mouth"),
        "press upper lip": Amplitude(0.004, "mouth"),
        "press jaw": Amplitude(-0.02, "mouth"),
        "tuck lower lip": Amplitude(-0.035, "mouth"),
        "tuck upper lip": Amplitude(-0.060, "mouth"),
        "tuck jaw": Amplitude(0.03, "mouth"),
        "tuck under nose": Amplitude(0.03, "mouth"),
        "lift upper lip": Amplitude(-0.09, "mouth"),
        "lift corners": Amplitude(-0.01, "mouth"),
        "brow up": Amplitude(-0.056, "height"),
        "smile corners out": Amplitude(0.19 / 2, "mouth"),
        "smile corners up": Amplitude(-0.12, "mouth"),
        "smile lower lip thinner": Amplitude(-0.030, "mouth"),
        "smile upper lip thinner": Amplitude(0.022, "mouth"),
        "smile cheeks up": Amplitude(-0.030, "height"),
        "smile fades, cheeks down": Amplitude(0.045, "height"),
        "frown inner brows down": Amplitude(0.030, "height"),
        "frown inner brows in": Amplitude(-0.018, "face"),
        "lean brows": Amplitude(-0.028, "height"),
    }
)
