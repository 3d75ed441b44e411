"""Brow motion: attitudes of brows, lids and cheeks that are held, and accents with the voice.

Speakers hold an attitude for a phrase or a part of one: brows raised, drawn together, one higher
than the other, lids narrowed, a trace of a smile. On top of it brows move with stressed syllables
and with a pitch that rises, up where the brows are free, down where they are drawn together.
Amplitudes and spectra are those of films (docs/experiments.md).
"""

from typing import NamedTuple

import numpy as np

from multitalk.engines.warp.smoothing import LowPass, SmoothNoise
from multitalk.engines.warp.voice_cues import Cue
from multitalk.timebase import FPS


class BrowPose(NamedTuple):
    """Weights of the expressions of the upper face, and of the smile that goes with them.

    Attributes:
        raised: `brow`; negative is lowered.
        frown: `frown`; negative raises the inner ends.
        lean: `lean`; positive where the right brow is higher.
        squint: `squint`; negative where the eyes are wide.
        smile: `smile`; negative where the corners of the mouth sink.
    """

    raised: float
    frown: float
    lean: float
    squint: float
    smile: float

    def scaled(self, share: float) -> "BrowPose":
        """These times a factor, within the limits of a face."""
        limited = (
            min(max(share * weight, low), high)
            for weight, low, high in zip(self, LOWEST, LIMITS, strict=True)
        )
        return BrowPose(*limited)


class _Attitude(NamedTuple):
    """An attitude: its share of all, and the range of each weight."""

    share: float
    raised: tuple[float, float]
    frown: tuple[float, float]
    lean: tuple[float, float]
    squint: tuple[float, float]
    smile: tuple[float, float]


# While somebody speaks. A lean is to the side that this person prefers.
EASE = _Attitude(0.30, (-0.15, 0.12), (-0.08, 0.14), (-0.10, 0.10), (-0.12, 0.25), (-0.05, 0.12))
INTEREST = _Attitude(0.34, (0.30, 0.66), (-0.22, 0.02), (-0.12, 0.18), (-0.35, 0.05), (0.05, 0.35))
EMPHASIS = _Attitude(0.15, (-0.28, -0.05), (0.10, 0.36), (-0.10, 0.18), (0.05, 0.36), (-0.12, 0.05))
DOUBT = _Attitude(0.14, (0.00, 0.36), (-0.05, 0.28), (0.28, 0.70), (0.00, 0.38), (-0.10, 0.15))
CONCERN = _Attitude(0.07, (0.05, 0.36), (-0.45, -0.20), (-0.10, 0.12), (0.00, 0.28), (-0.15, 0.00))
ATTITUDES = (EASE, INTEREST, EMPHASIS, DOUBT, CONCERN)
LISTENING_EASY = 0.6  # share of attitudes that are at ease while nobody speaks
SILENT, LISTENING = 0.5, 0.8  # of an attitude that remains in silence, and of who listens
ATTITUDE_AT_PHRASE, EASE_AT_PHRASE_END = 0.8, 0.7  # shares of phrases
HOLD_SCALE_SECONDS, HOLD_LEAST_SECONDS = 0.7, 0.8  # gamma distribution of shape 2, and minimum
MOVE_SECONDS = (0.09, 0.18)  # time constants
SPEAKS = 0.3  # of the smoothed activity
LISTENS_STEP = 0.1  # of the way, in a frame
BEGINS = 0.15  # seconds before the voice

# Accents: brows rise with what is stressed beyond `ACCENT_FROM`, and by a semitone above the usual
# pitch; over drawn brows that much of it frowns, or lifts still.
BY_STRESS, ACCENT_FROM = 2.8, 0.06
BY_SEMITONE, SEMITONES_FROM, MOST_BY_PITCH = 0.06, 1.5, 0.35
DRAWN = 0.28  # `frown` of an attitude from which accents go down
ACCENT_FROWNS, ACCENT_LIFTS = 0.45, 0.15
RESTS = 0.30  # how much lower brows are while their owner speaks, so that they are mostly level
ACCENT_SECONDS = 0.06
LIMITS = BrowPose(0.9, 0.8, 0.9, 0.7, 0.5)
LOWEST = BrowPose(-0.65, -0.6, -0.9, -0.35, -0.2)
# What never stops: standard deviations, rates (Hz), and the share of it in silence.
WANDER, WANDER_RATES = BrowPose(0.13, 0.09, 0.08, 0.10, 0.03), (0.7, 0.9, 0.6, 0.8, 0.5)
SILENT_WANDER, LISTENING_WANDER = 0.4, 0.7


class Brows:
    """The brows of one person, one frame per step."""

    def __init__(self, seed: int, person: int) -> None:
        """Seed the motion.

        Args:
            seed: Of the random generator.
            person: Index in the scene.
        """
        rng = np.random.default_rng([seed, person, 6])
        self._rng = rng
        self._higher = 1.0 if rng.random() < 0.5 else -1.0  # the side of a lean: right, left
        self._wander = [SmoothNoise(rng, rate=rate) for rate in WANDER_RATES]
        self._at = np.zeros(len(LIMITS))
        self._midway = np.zeros(len(LIMITS))
        self._target = np.zeros(len(LIMITS))
        self._keep = 0.0
        self._seconds_left = 0.0
        self._is_near = False  # the voice that begins
        self._accent = LowPass(ACCENT_SECONDS)
        self._listens = 0.0  # smoothed
        self._frame = 0

    def step(
        self, *, speaking: float, stress: float, melody: float, cue: Cue, listens: bool = False
    ) -> BrowPose:
        """The next frame's brows.

        Args:
            speaking: Smoothed activity of the voice, 0..1.
            stress: Loudness above its recent mean.
            melody: Semitones above the usual pitch.
            cue: Of the voice.
            listens: Whether this person attends to another.
        """
        seconds = self._frame / FPS
        self._frame += 1
        self._choose(speaking, cue)
        # Critically damped, as `LowPass`.
        self._midway += (1 - self._keep) * (self._target - self._midway)
        self._at = self._at + (1 - self._keep) * (self._midway - self._at)
        self._listens += (float(listens) - self._listens) * LISTENS_STEP
        least = SILENT + (LISTENING - SILENT) * self._listens
        pose = self._at * (least + (1 - least) * speaking)
        wander = SILENT_WANDER + (LISTENING_WANDER - SILENT_WANDER) * self._listens
        wander += (1 - wander) * speaking
        pose += wander * np.array(
            [size * noise.at(seconds) for size, noise in zip(WANDER, self._wander, strict=True)]
        )
        by_pitch = min(BY_SEMITONE * max(melody - SEMITONES_FROM, 0.0), MOST_BY_PITCH)
        accent = BY_STRESS * max(stress - ACCENT_FROM, 0.0) + by_pitch * speaking
        accent = self._accent.step(min(accent, LIMITS.raised))
        drawn = min(max(float(self._at[1]) / DRAWN, 0.0), 1.0)
        pose[0] += accent * (1 - (1 - ACCENT_LIFTS) * drawn) - RESTS * speaking
        pose[1] += ACCENT_FROWNS * accent * drawn
        return BrowPose(*pose.tolist()).scaled(1.0)

    def _choose(self, speaking: float, cue: Cue) -> None:
        """Take another attitude where a phrase begins or ends, or this one was held enough."""
        rng = self._rng
        self._seconds_left -= 1 / FPS
        was_near, self._is_near = self._is_near, cue.onset <= BEGINS
        speaks = speaking > SPEAKS
        if self._is_near and not was_near and rng.random() < ATTITUDE_AT_PHRASE:
            self._take(self._drawn())
        elif cue.ends and rng.random() < EASE_AT_PHRASE_END:
            self._take(EASE)
        elif self._seconds_left <= 0:
            is_easy = not speaks and rng.random() < LISTENING_EASY
            self._take(EASE if is_easy else self._drawn())

    def _drawn(self) -> _Attitude:
        """One of the attitudes, by its share."""
        shares = np.cumsum([attitude.share for attitude in ATTITUDES])
        place = int(np.searchsorted(shares, self._rng.random() * shares[-1], side="right"))
        return ATTITUDES[min(place, len(ATTITUDES) - 1)]

    def _take(self, attitude: _Attitude) -> None:
        rng = self._rng
        self._target = np.array([rng.uniform(*limits) for limits in attitude[1:]])
        self._target[2] *= self._higher
        self._keep = float(np.exp(-1 / (rng.uniform(*MOVE_SECONDS) * FPS)))
        self._seconds_left = rng.gamma(2.0, HOLD_SCALE_SECONDS) + HOLD_LEAST_SECONDS
