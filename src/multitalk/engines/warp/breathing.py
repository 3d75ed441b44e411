"""Breathing: at rest, and in before a voice begins.

People who are about to speak breathe in, with the mouth open, for about half a second: answers that
an inbreath precedes come 0.58 s after the question, others 0.10 s (Torreira, Boegels and Levinson,
"Breathing for answering", 2015). Lips are seen to move 0.12 to 0.18 s before the sound (Schaeffler,
Scobbie and Schaeffler, "Complex patterns in silent speech preparation", 2015), and part while the
breath is drawn (Rasskazova, Mooshammer and Fuchs, "Temporal coordination of articulatory and
respiratory events prior to speech initiation", 2019). On films they are 2 to 8 % of the face height
apart during most pauses (docs/experiments.md).
"""

from dataclasses import dataclass

import numpy as np

from multitalk.engines.warp.smoothing import LowPass
from multitalk.engines.warp.voice_cues import Cue
from multitalk.timebase import FPS

BREATHS_PER_SECOND = 0.27
AT_REST = 0.004  # face heights by which the chest goes up and down
SWELL = 0.375  # of the head (`head_motion`), per face height of the chest

IN_SECONDS = 0.5  # that a breath before the voice takes
DEPTH, DEPTHS = 0.016, (0.75, 1.25)  # face heights; its spread, a factor
RISE_SECONDS, OUT_SECONDS = 0.10, 2.0  # time constants
LIPS_SECONDS, CHIN_SECONDS = 0.06, 0.10  # time constants


@dataclass(frozen=True)
class Breath:
    """A breath in one frame.

    Attributes:
        chest: How far the chest is lifted, face heights.
        parted: How far the lips part for it, 0..1.
        drawn: How far it is being drawn, 0..1; the chin goes up with it.
    """

    chest: float
    parted: float
    drawn: float


class Breathing:
    """The breath of one person, one frame per step."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._phase = rng.uniform(0, 2 * np.pi)
        self._frame = 0
        self._is_drawn = self._is_parted = False
        self._depth = 0.0  # of the breath that is drawn, as a share of `DEPTH`
        self._full = 0.0  # of the chest, which then empties slowly
        self._chest = LowPass(RISE_SECONDS)
        self._lips = LowPass(LIPS_SECONDS)
        self._chin = LowPass(CHIN_SECONDS)

    def step(self, cue: Cue) -> Breath:
        """The next frame's breath."""
        t = self._frame / FPS
        self._frame += 1
        was_drawn, self._is_drawn = self._is_drawn, cue.onset <= IN_SECONDS
        if self._is_drawn and not was_drawn:
            # A voice that is known of late, as in a live talk, leaves time for less.
            self._depth = self._rng.uniform(*DEPTHS) * cue.onset / IN_SECONDS
        drawn = self._depth if self._is_drawn else 0.0
        # Lips stay parted in a pause whose end is near when it begins.
        is_near = cue.onset < float("inf")
        self._is_parted = self._is_drawn or (is_near and (self._is_parted or cue.ends))
        self._full = max(drawn, self._full * np.exp(-1 / (OUT_SECONDS * FPS)))
        chest = self._chest.step(self._full)
        rest = np.sin(2 * np.pi * BREATHS_PER_SECOND * t + self._phase) - np.sin(self._phase)
        return Breath(
            chest=AT_REST * rest * (1 - min(chest, 1.0)) + DEPTH * chest,
            parted=self._lips.step(1.0 if self._is_parted else 0.0),
            drawn=self._chin.step(drawn),
        )
