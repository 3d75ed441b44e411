"""What is measured without a verdict: one number each, its unit, and which way is better."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Figure:
    """One number about one speaker.

    Attributes:
        name: Such as `flicker`.
        speaker: Whom it is about; None for a mean over several.
        value: None where it could not be measured.
        unit: Of the value; empty for a bare number.
        better: Which way is better. `lower` means nearer to 0 where the value has a sign.
        range: Of filmed people, from the lower to the upper quartile; None where not known.
    """

    name: str
    speaker: str | None
    value: float | None
    unit: str
    better: Better
    range: tuple[float, float] | None = None


# What `Liveliness` measures, with blinks: unit, and the range of filmed people. The quartiles of
# six who spoke for 6 to 20 s; the yaw's speed is widened to the median of seventeen, which lies
# outside. docs/evaluation.md tells more.
ALIVE: dict[str, tuple[str, tuple[float, float] | None]] = {
    "yaw_deviation": ("degrees", (1.6, 4.5)),
    "pitch_deviation": ("degrees", (2.3, 5.3)),
    "roll_deviation": ("degrees", (1.3, 4.9)),
    "yaw_speed": ("degrees/s", (13.0, 19.0)),
    "pitch_speed": ("degrees/s", (17.0, 33.0)),
    "roll_speed": ("degrees/s", (7.3, 18.0)),
    "place_x_deviation": ("% of face", (2.1, 7.5)),
    "place_y_deviation": ("% of face", (2.0, 6.3)),
    "brow_deviation": ("% of face", (0.7, 1.3)),
    "gaze_against_yaw": ("% of eye/deg", None),
    "blink_rate": ("a minute", (11.0, 54.0)),
    "opening_deviation": ("% of face", (2.9, 3.6)),
    "opening_95th": ("% of face", (8.3, 14.0)),
    "width_deviation": ("% of face", (1.6, 3.0)),
    "teeth_share": ("% of speech", None),
    "interactivity": ("224ths/frame", None),
}


def mean_figures(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """One figure for each name: the mean of what could be measured.

    Where lower is better, several values count by their size: one that is early and one that is
    late are not in time.
    """
    named: dict[str, list[Figure]] = {}
    for figure in figures:
        named.setdefault(figure.name, []).append(figure)
    return tuple(
        replace(alike[0], speaker=None, value=_mean([one.value for one in alike], alike[0].better))
        for alike in named.values()
    )


def _mean(values: Sequence[float | None], better: Better) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return known[0] if known else None
    return sum(map(abs, known) if better == "lower" else known) / len(known)
