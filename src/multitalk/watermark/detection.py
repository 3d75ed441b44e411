"""Decision on a mark from its scores, by the probability that chance alone scores as high."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multitalk.watermark.keys import Payload

Where = Literal["picture", "sound"]

# A mark is reported where chance would do the same less often. A file is looked at in fifteen ways
# at most (its picture in three places, as it is and mirrored, cropped or not; its sound in three),
# so that of a million files without a mark one at most is taken for marked.
FALSE_ALARMS = 6e-8

# Distribution of the scores of files without a mark, fitted by benchmarks/watermark.py
# (docs/experiments.md): the best of many places as Gumbel's distribution, by location and scale,
SEARCHED: Mapping[Where, tuple[float, float]] = {"picture": (7.21, 0.216), "sound": (6.77, 0.269)}
# and those of the one place where the mark of a picture that was not cropped is, as normal, by mean
# and standard deviation.
UNCROPPED = (4.33, 0.675)
# How often two payloads that were read independently are equal by chance: they have 28 bits beside
# those of the scheme.
AGREEMENT = 2.0**-28
PILOT_WEIGHT = math.sqrt(0.5)  # the pilot's share of the energy is a half,
SYMBOL_WEIGHT = math.sqrt(0.125)  # and each symbol's an eighth


@dataclass(frozen=True)
class Finding:
    """The result of a search in a picture or a sound.

    Attributes:
        where: The searched one of the two.
        score: In standard deviations, pilot and symbols together.
        chance: Probability of so high a score if nothing is marked.
        payload: Of the mark; None without a mark, or where its symbols are invalid.
    """

    where: Where
    score: float
    chance: float
    payload: Payload | None

    @property
    def is_marked(self) -> bool:
        """True if chance is ruled out."""
        return self.chance <= FALSE_ALARMS


def decide(
    where: Where,
    pilot: float,
    symbols: Sequence[NDArray[np.floating]],
    *,
    is_searched: bool = True,
) -> Finding:
    """Judge scores.

    Args:
        where: What they are of.
        pilot: The pilot's, in standard deviations.
        symbols: Each symbol's, one for each of its values, in standard deviations.
        is_searched: They are the best of many places, and not of a place that was known.
    """
    best = [int(scores.argmax()) for scores in symbols]
    heights = sum(float(scores[value]) for scores, value in zip(symbols, best, strict=True))
    score = PILOT_WEIGHT * pilot + SYMBOL_WEIGHT * heights
    if is_searched:
        location, scale = SEARCHED[where]
        chance = -math.expm1(-math.exp(-(score - location) / scale))
    else:
        mean, deviation = UNCROPPED
        chance = 0.5 * math.erfc((score - mean) / deviation / math.sqrt(2.0))
    payload = Payload.from_symbols(tuple(best)) if symbols else None
    return Finding(where, score, chance, payload)


def agreed(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings in the picture and the sound of one file, judged together.

    Two weak marks with one payload make a sure one: chance would seldom read the same in both.
    """
    payloads = {finding.payload for finding in findings}
    if len(findings) < 2 or len(payloads) > 1 or None in payloads:
        return tuple(findings)
    return tuple(replace(finding, chance=min(finding.chance, AGREEMENT)) for finding in findings)
