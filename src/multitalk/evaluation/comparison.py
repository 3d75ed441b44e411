"""Which of two videos is better, figure by figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multitalk.evaluation.figures import Better, Figure

Winner = Literal["first", "second"]


@dataclass(frozen=True)
class Comparison:
    """One figure of two videos.

    Attributes:
        name: Of the figure.
        speaker: Whom it is about.
        unit: Of the values.
        better: Which way is better.
        first: Of the first video; None where it could not be measured, or nobody has this name.
        second: Of the second video.
        winner: Whose is better; None where they are equal, one is missing, or neither way is.
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


def compare_figures(first: Sequence[Figure], second: Sequence[Figure]) -> tuple[Comparison, ...]:
    """Put the figures of two videos beside each other, by name and speaker."""
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


def _winner(first: float | None, second: float | None, better: Better) -> Winner | None:
    if first is None or second is None or better == "neither":
        return None
    # Of what has a sign, such as a lag, the smaller size is the lower.
    gain = first - second if better == "higher" else abs(second) - abs(first)
    return None if gain == 0 else "first" if gain > 0 else "second"
