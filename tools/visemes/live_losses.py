"""How far a live mouth is from that of the whole talk, as what the student is to lessen.

The frame of a live session is read some steps before the newest, from probabilities that are
smoothed as in `coarticulation.mouth_curves`; beyond the newest step nothing is known. So it is that
movement which is compared, at the look-aheads that sessions use, and each class only beside it.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from stream_network_torch import Instants
from torch import Tensor

from multitalk.array_types import Array
from multitalk.speech.coarticulation import (
    CLOSURE_COMPLETE,
    CLOSURE_ONSET,
    JAW_COARTICULATION,
    JAW_INERTIA,
    JAW_SHARE,
    LIP_COARTICULATION,
    LIP_INERTIA,
    OPENING,
    OPENING_DOMINANCE,
    PROBABILITY_RATE,
    WIDTH,
    WIDTH_COARTICULATION,
    WIDTH_DOMINANCE,
    WIDTH_INERTIA,
    smooth,
)
from multitalk.speech.phonemes import BILABIAL, SILENCE
from multitalk.speech.viseme_stream import PROVISIONAL_STEPS
from multitalk.speech.viseme_track import (
    ACTIVITY_FULL,
    ACTIVITY_ONSET,
    ACTIVITY_SIGMA,
    MOVEMENT_CONTEXT,
)

# Of the newest steps, the last first: a frame with 0, 40, 80, 120 or 160 ms of look-ahead is read
# at every second.
READ_WEIGHTS = (0.15, 0.1, 0.7, 0.2, 1.0, 0.2, 0.7, 0.15, 0.4, 0.1)
# A closure's time is right within a frame, and its class needs no smoothing.
CLASS_WEIGHTS = (0.15, 0.25, 0.5, 0.7, 1.0, 1.0, 0.8, 0.7, 0.6, 0.5)
SETTLED_WEIGHT = 0.5
# The lips close between two probabilities; here softly.
CLOSED = (CLOSURE_ONSET + CLOSURE_COMPLETE) / 2
SOFTNESS = 0.05


class Losses(NamedTuple):
    """How a student's classes diverge from the teacher's, and squared errors of what they come to.

    Attributes:
        divergence: Kullback and Leibler's, of the newest and of the settled steps.
        opening: Of the lips.
        width: Of the mouth.
        closure: Of p, b and m.
    """

    divergence: Tensor
    opening: Tensor
    width: Tensor
    closure: Tensor


# Of about the same size when training begins.
WEIGHTS = Losses(*torch.tensor([1.0, 40.0, 15.0, 4.0]))


def live_losses(said: Instants, taught: Tensor, *, hop: int) -> Losses:
    """Compare the frames that a live session would draw at each instant with the whole talk's.

    Args:
        said: The student's scores.
        taught: The teacher's probabilities of the whole lesson, [B, N, NUM_VISEMES].
        hop: Of the instants.
    """
    settled, newest = (torch.log_softmax(scores.float(), dim=-1) for scores in said)
    ends = hop * (torch.arange(newest.shape[1]) + 1)[:, None]  # where the newest begin
    places = ends + torch.arange(PROVISIONAL_STEPS)
    wanted = taught[:, places]  # [B, W, PROVISIONAL_STEPS, NUM_VISEMES]
    by_class, by_read = (
        torch.tensor(weights[::-1]) / sum(weights) for weights in (CLASS_WEIGHTS, READ_WEIGHTS)
    )
    divergence = (divergence_from(wanted, newest) * by_class).sum(-1).mean()
    known = divergence_from(taught[:, : settled.shape[1]], settled).mean()
    before = (ends - MOVEMENT_CONTEXT + torch.arange(MOVEMENT_CONTEXT)).clamp_min(0)
    seen = torch.cat([settled.exp()[:, before], newest.exp()], dim=2)
    moved = movement(seen)[..., -PROVISIONAL_STEPS:]
    whole = movement(taught)[..., places]
    opening, width = ((moved - whole).square() * by_read).sum(-1).mean(dim=(1, 2))
    closed, closes = (
        torch.sigmoid((probabilities[..., BILABIAL] - CLOSED) / SOFTNESS)
        for probabilities in (newest.exp(), wanted)
    )
    closure = ((closed - closes).square() * by_class).sum(-1).mean()
    return Losses(divergence + SETTLED_WEIGHT * known, opening, width, closure)


def divergence_from(taught: Tensor, logarithms: Tensor) -> Tensor:
    """Kullback and Leibler's, [..., NUM_VISEMES] to [...]."""
    return (taught * (taught.clamp_min(1e-6).log() - logarithms)).sum(-1)


def movement(probabilities: Tensor) -> Tensor:
    """Opening and width as in `viseme_track`: [..., N, NUM_VISEMES] to [2, ..., N]."""
    speaking = smoothed(1 - probabilities[..., SILENCE], ACTIVITY_SIGMA)
    active = ((speaking - ACTIVITY_ONSET) / (ACTIVITY_FULL - ACTIVITY_ONSET)).clamp(0, 1)
    jaw, lips, width = (
        smoothed(coarticulated(probabilities, target, dominance, reach), inertia)
        for target, dominance, reach, inertia in (
            (OPENING, OPENING_DOMINANCE, JAW_COARTICULATION, JAW_INERTIA),
            (OPENING, OPENING_DOMINANCE, LIP_COARTICULATION, LIP_INERTIA),
            (WIDTH, WIDTH_DOMINANCE, WIDTH_COARTICULATION, WIDTH_INERTIA),
        )
    )
    return torch.stack([JAW_SHARE * jaw + (1 - JAW_SHARE) * lips, width]) * active


def coarticulated(probabilities: Tensor, target: Array, dominance: Array, seconds: float) -> Tensor:
    """`coarticulation.coarticulate` in torch: [..., N, NUM_VISEMES] to [..., N]."""
    pulled, strength = (
        smoothed(probabilities @ torch.from_numpy(pull), seconds)
        for pull in (dominance * target, dominance)
    )
    return pulled / strength


def smoothed(curve: Tensor, seconds: float) -> Tensor:
    """`coarticulation.smooth` in torch, [..., N]."""
    return curve @ smoothing(curve.shape[-1], seconds)


@cache
def smoothing(num_steps: int, seconds: float) -> Tensor:
    """The matrix of `coarticulation.smooth`, [N, N]: a row for each step that pulls."""
    units = np.eye(num_steps, dtype=np.float32)
    return torch.from_numpy(np.stack([smooth(unit, seconds * PROBABILITY_RATE) for unit in units]))
