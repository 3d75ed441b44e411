"""Lid motion: what the lids of open eyes do beside blinks, looks and brows.

They are never quite still: an upper lid sinks and rises over seconds, flutters a little and opens
with what is stressed; the lower one does less. Sizes are those of films (docs/experiments.md).
"""

import numpy as np

from multitalk.engines.warp.smoothing import LowPass, SmoothNoise
from multitalk.timebase import FPS

LidShifts = tuple[float, float]  # of the upper and of the lower lid, down, eye widths

# Standard deviations, eye widths, and rates, Hz, of what never stops: slow and quick.
UPPER, UPPER_RATES = (0.009, 0.0035), (0.35, 1.9)
LOWER, LOWER_RATES = (0.005, 0.0015), (0.4, 1.6)
SILENT = 0.6  # share of it in silence
# Who speaks has eyes a little wider than at rest, and wider still with a stress.
ENGAGED, BY_STRESS, STRESS_FROM, MOST_BY_STRESS = 0.014, 0.12, 0.06, 0.020
STRESS_SECONDS = 0.08
LIMITS = (0.035, 0.018)


class LidMotion:
    """The lids of one person, one frame per step."""

    def __init__(self, seed: int, person: int) -> None:
        """Seed the motion.

        Args:
            seed: Of the random generator.
            person: Index in the scene.
        """
        rng = np.random.default_rng([seed, person, 7])
        self._upper = [SmoothNoise(rng, rate=rate) for rate in UPPER_RATES]
        self._lower = [SmoothNoise(rng, rate=rate) for rate in LOWER_RATES]
        self._stress = LowPass(STRESS_SECONDS)
        self._frame = 0

    def step(self, *, speaking: float, stress: float) -> LidShifts:
        """The next frame's lids, beside those of the photograph.

        Args:
            speaking: Smoothed activity of the voice, 0..1.
            stress: Loudness above its recent mean.
        """
        seconds = self._frame / FPS
        self._frame += 1
        share = SILENT + (1 - SILENT) * speaking
        wide = self._stress.step(min(BY_STRESS * max(stress - STRESS_FROM, 0.0), MOST_BY_STRESS))
        upper, lower = (
            share * sum(size * one.at(seconds) for size, one in zip(sizes, noise, strict=True))
            for sizes, noise in ((UPPER, self._upper), (LOWER, self._lower))
        )
        shifts = upper - ENGAGED * speaking - wide, lower
        up, down = (min(max(one, -most), most) for one, most in zip(shifts, LIMITS, strict=True))
        return up, down
