"""From class probabilities to the mouth's movement: targets, coarticulation and closures.

The lips do not jump from phone to phone: each pulls towards its own target with a certain strength,
and the lips follow the weighted mean over a stretch of time. That is the dominance model of
coarticulation (Cohen and Massaro, "Modeling coarticulation in synthetic visual speech", 1993, eq.
1), here with Gaussian instead of exponential dominance. Silence and most consonants are weak: they
do not define the shape of a vowel beside them. Closed lips are too short to survive that, or 25
frames per second, so they are separate pulses with a minimum duration.

Used by the runtime, the evaluation and the training tools, so that they cannot diverge.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.phonemes import BILABIAL, LABIODENTAL, SILENCE, VISEMES

PROBABILITY_RATE = 50  # steps per second; step t is the instant t / PROBABILITY_RATE


class Articulation(NamedTuple):
    """The target of the mouth for one class, and its dominance among its neighbours.

    Attributes:
        opening: Inner-lip gap, 1 = a wide A.
        opening_dominance: Weight of `opening` among neighbouring phones.
        width: -1 rounded and narrow .. +1 spread.
        width_dominance: Weight of `width` and `rounding`.
        rounding: Protruded lips, 0..1.
        teeth: Upper and lower teeth together and visible, 0..1.
        tongue: Tongue tip at the teeth, 0..1.
    """

    opening: float
    opening_dominance: float
    width: float
    width_dominance: float
    rounding: float
    teeth: float
    tongue: float


# Openings, widths and dominances began as values of the phonetics literature
# and are fitted, not far from them, to the mouths of fourteen filmed and generated speakers: what
# is fitted to some follows the others better, too (docs/experiments.md).
ARTICULATIONS = {
    "sil": Articulation(0.35, 0.55, 0.10, 0.40, 0.00, 0.2, 0.0),
    "PBM": Articulation(0.00, 3.40, -0.10, 0.12, 0.05, 0.2, 0.0),
    "FV": Articulation(0.07, 1.80, 0.11, 0.35, 0.00, 0.2, 0.0),
    "TH": Articulation(0.26, 0.50, 0.11, 0.30, 0.00, 0.3, 1.0),
    "TDNL": Articulation(0.20, 0.46, 0.25, 0.28, 0.00, 0.4, 0.7),
    "S": Articulation(0.22, 0.80, 0.36, 0.80, 0.00, 1.0, 0.2),
    "SH": Articulation(0.28, 0.87, -0.31, 0.82, 0.55, 1.0, 0.1),
    "KG": Articulation(0.41, 0.25, 0.10, 0.10, 0.00, 0.2, 0.1),
    "W": Articulation(0.05, 1.70, -0.95, 1.50, 1.00, 0.0, 0.0),
    "R": Articulation(0.16, 0.74, -0.41, 1.00, 0.45, 0.3, 0.3),
    "I": Articulation(0.39, 0.76, 0.43, 0.45, 0.00, 0.6, 0.2),
    "E": Articulation(0.75, 1.00, 0.41, 0.67, 0.00, 0.3, 0.2),
    "A": Articulation(1.00, 0.93, 0.16, 0.83, 0.00, 0.0, 0.1),
    "schwa": Articulation(0.40, 0.51, 0.03, 0.41, 0.00, 0.2, 0.1),
    "O": Articulation(0.39, 1.10, -0.75, 2.10, 0.70, 0.0, 0.0),
    "U": Articulation(0.10, 1.45, -0.72, 1.35, 1.00, 0.0, 0.0),
}
(
    OPENING, OPENING_DOMINANCE, WIDTH, WIDTH_DOMINANCE, ROUNDING, TEETH, TONGUE,
) = np.array([ARTICULATIONS[viseme] for viseme in VISEMES], np.float32).T  # fmt: skip

# Standard deviations of the smoothing, in seconds.
JAW_COARTICULATION, JAW_INERTIA = 0.1, 0.03
LIP_COARTICULATION, LIP_INERTIA = 0.04, 0.02
WIDTH_COARTICULATION = 0.06
WIDTH_INERTIA = 0.02
DETAIL_INERTIA = 0.02
# Of the opening, the share that the slow jaw makes; the quick lips make the rest. A larger share
# agrees more with the measured mouths of real speakers, a smaller one more with the timing of
# single phones.
JAW_SHARE = 0.25
# A bilabial begins to close the lips at the first and closes them at the second probability. They
# are low because a missed closure is seen more than one too many.
CLOSURE_ONSET, CLOSURE_COMPLETE = 0.21, 0.28
# The lips part this much before and after a closure's own steps.
CLOSURE_EDGE = 0.3


@dataclass(frozen=True)
class MouthCurves:
    """The movement at `PROBABILITY_RATE`, each float32 [N].

    `opening` and `speaking` are 0..1; the others are as in `visemes.VisemeTrack`.
    """

    opening: Array
    width: Array
    rounding: Array
    closure: Array
    labiodental: Array
    teeth: Array
    tongue: Array
    speaking: Array


def mouth_curves(probabilities: Array) -> MouthCurves:
    """Let the phones pull at the lips.

    Args:
        probabilities: Of the classes, float32 [N, NUM_VISEMES] at `PROBABILITY_RATE`; one-hot if
            the phones are known.
    """
    width_sigma = WIDTH_COARTICULATION * PROBABILITY_RATE
    width, rounding = (
        coarticulate(probabilities, target, WIDTH_DOMINANCE, width_sigma)
        for target in (WIDTH, ROUNDING)
    )
    jaw, lips = (
        smooth(
            coarticulate(
                probabilities, OPENING, OPENING_DOMINANCE, coarticulation * PROBABILITY_RATE
            ),
            inertia * PROBABILITY_RATE,
        )
        for coarticulation, inertia in (
            (JAW_COARTICULATION, JAW_INERTIA),
            (LIP_COARTICULATION, LIP_INERTIA),
        )
    )
    detail = DETAIL_INERTIA * PROBABILITY_RATE
    return MouthCurves(
        opening=JAW_SHARE * jaw + (1 - JAW_SHARE) * lips,
        width=smooth(width, WIDTH_INERTIA * PROBABILITY_RATE),
        rounding=smooth(rounding, WIDTH_INERTIA * PROBABILITY_RATE),
        closure=closure_pulses(probabilities[:, BILABIAL]),
        labiodental=np.clip(1.5 * smooth(probabilities[:, LABIODENTAL], detail), 0, 1),
        teeth=smooth(probabilities @ TEETH, detail),
        tongue=smooth(probabilities @ TONGUE, detail),
        speaking=1 - probabilities[:, SILENCE],
    )


def closure_pulses(bilabial: Array) -> Array:
    """Lip closures, 0..1 [N], of the probability of p, b or m [N].

    A closure of one step is held for a second, so that it is whole in one video frame at least;
    longer ones stay as they are: a wider one would swallow the vowels beside it.
    """
    closed = np.clip(
        (bilabial - CLOSURE_ONSET) / (CLOSURE_COMPLETE - CLOSURE_ONSET), 0, 1, dtype=np.float32
    )
    before = np.pad(closed, (2, 0))
    held = np.maximum(closed, before[1:-1] * (1 - before[:-2]))
    beside = np.pad(held, 1)
    edge = np.float32(CLOSURE_EDGE) * np.maximum(beside[:-2], beside[2:])
    closure: Array = np.maximum(held, edge)
    return closure


def coarticulate(probabilities: Array, target: Array, dominance: Array, sigma: float) -> Array:
    """Curve of one articulator under coarticulation.

    Cohen and Massaro's blend sum(p D target) / sum(p D), with Gaussian dominance and class
    probabilities p in place of certain phones.

    Args:
        probabilities: float32 [N, NUM_VISEMES].
        target: Position per class, [NUM_VISEMES].
        dominance: Weight per class, [NUM_VISEMES], positive.
        sigma: Standard deviation of the dominance in steps.

    Returns:
        float32 [N].
    """
    pulled = smooth(probabilities @ (dominance * target), sigma)
    return pulled / smooth(probabilities @ dominance, sigma)


def smooth(curve: Array, sigma: float) -> Array:
    """Gaussian smoothing [N], `sigma` in steps, cut at three sigma; the ends are held."""
    kernel = _gaussian(sigma)
    radius = len(kernel) // 2
    # For a dozen short curves a frame, as of a live voice, np.pad would take most of the time.
    held = np.empty(len(curve) + 2 * radius, curve.dtype)
    held[:radius], held[-radius:] = curve[0], curve[-1]
    held[radius:-radius] = curve
    smoothed: Array = np.convolve(held, kernel, "valid")
    return smoothed


@cache
def _gaussian(sigma: float) -> Array:
    """A kernel of sum 1, cut at three sigma."""
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    return kernel.astype(np.float32)
