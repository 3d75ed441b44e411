"""Figures: measurements without a verdict, and the comparison of two videos by them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["higher", "lower", "neither"]
Winner = Literal["first", "second"]


@dataclass(frozen=True)
class Figure:
    """One number about one speaker.

    Attributes:
        name: Such as `flicker`.
        speaker: None for a mean over several.
        value: None where it could not be measured.
        unit: Empty for a dimensionless number.
        better: Which way is better; `lower` means nearer to 0 where the value has a sign.
        range: Lower and upper quartile of filmed people; None where not known.
    """

    name: str
    speaker: str | None
    value: float | None
    unit: str
    better: Better
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Comparison:
    """One figure of two videos.

    Attributes:
        name: Of the figure.
        speaker: None for a mean over several.
        unit: Of the values.
        better: Which way is better.
        first: Of the first video; None where it could not be measured or has no such speaker.
        second: Of the second video, likewise.
        winner: None where they are equal, one is missing or neither way is better.
        range: Of filmed people; None where not known.
    """

    name: str
    speaker: str | None
    unit: str
    better: Better
    first: float | None
    second: float | None
    winner: Winner | None
    range: tuple[float, float] | None


# Unit and range of filmed people of each field of `Liveliness`, and of the blink rate: quartiles of
# twelve clips of 5 to 20 s, widened to the medians of seventeen others (docs/evaluation.md). Nobody
# has measured filmed listeners by this `interactivity`.
LIVELINESS_FIGURES: dict[str, tuple[str, tuple[float, float] | None]] = {
    "yaw_deviation": ("degrees", (1.9, 5.1)),
    "pitch_deviation": ("degrees", (2.0, 5.8)),
    "roll_deviation": ("degrees", (1.3, 4.6)),
    "yaw_speed": ("degrees/s", (12.0, 28.0)),
    "pitch_speed": ("degrees/s", (19.0, 33.0)),
    "roll_speed": ("degrees/s", (6.7, 15.0)),
    "place_x_deviation": ("% of face", (2.4, 5.4)),
    "place_y_deviation": ("% of face", (2.8, 4.4)),
    "brow_deviation": ("% of face", (0.8, 1.4)),
    "gaze_against_yaw": ("% of eye/deg", (-0.42, -0.27)),
    "blink_rate": ("a minute", (13.0, 59.0)),
    "opening_deviation": ("% of face", (2.8, 3.2)),
    "opening_95th": ("% of face", (8.5, 11.5)),
    "width_deviation": ("% of face", (1.9, 3.2)),
    "teeth_share": ("% of speech", (51.0, 70.0)),
    "interactivity": ("224ths/frame", None),
}


def mean_figures(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """One figure per name: the mean of the measured values.

    Where lower is better, the mean of magnitudes: an early and a late speaker do not average to
    one in time.
    """
    named: dict[str, list[Figure]] = {}
    for figure in figures:
        named.setdefault(figure.name, []).append(figure)
    return tuple(
        replace(same[0], speaker=None, value=_mean([one.value for one in same], same[0].better))
        for same in named.values()
    )


def compare_figures(first: Sequence[Figure], second: Sequence[Figure]) -> tuple[Comparison, ...]:
    """Pair the figures of two videos by speaker and name."""
    sides = [{(one.speaker, one.name): one for one in figures} for figures in (first, second)]
    compared = []
    for key, figure in (sides[0] | sides[1]).items():
        values = [side[key].value if key in side else None for side in sides]
        compared.append(
            Comparison(
                name=figure.name,
                speaker=figure.speaker,
                unit=figure.unit,
                better=figure.better,
                first=values[0],
                second=values[1],
                winner=_winner(values[0], values[1], figure.better),
                range=figure.range,
            )
        )
    return tuple(compared)


def _mean(values: Sequence[float | None], better: Better) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return known[0] if known else None
    return sum(map(abs, known) if better == "lower" else known) / len(known)


def _winner(first: float | None, second: float | None, better: Better) -> Winner | None:
    if first is None or second is None or better == "neither":
        return None
    # Of signed figures, such as a lag, the smaller magnitude is the lower.
    gain = first - second if better == "higher" else abs(second) - abs(first)
    return None if gain == 0 else "first" if gain > 0 else "second"
