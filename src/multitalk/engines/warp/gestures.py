"""What a head does besides speaking: it turns and holds, sways, nods with the voice, looks, blinks.

Sizes, rates and spectra are those of filmed speakers; docs/experiments.md has the measurements.
Everything is a function of the seed and the frames so far, so that a talk is the same however it is
cut into chunks, and an hour of it needs no more memory than a second.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.gaze import GAZE_BY_PITCH, GAZE_BY_YAW, NOTHING, Gaze
from multitalk.engines.warp.smoothing import LowPass, SmoothNoise
from multitalk.timebase import FPS

DEGREE = np.pi / 180
SETTLE_SECONDS = 0.6  # the head starts exactly as photographed
BREATHS_PER_SECOND = 0.27

# Six numbers say where a head is: yaw, pitch, roll (radians), then shift_x (face widths), shift_y
# (face heights) and swell, as in `rig.MOTIONS`. A pitch above 0 looks up.
# Standard deviation of the places that a speaker's head moves to and holds, and the farthest.
HELD = np.array([7.4 * DEGREE, 7.2 * DEGREE, 4.1 * DEGREE, 0.018, 0.010, 0.016])
FARTHEST = np.array([9.5 * DEGREE, 8.5 * DEGREE, 7.0 * DEGREE, 0.045, 0.040, 0.035])
LARGEST = 1.2 * FARTHEST  # however lively
# Standard deviation of what sways on top while somebody speaks, at SWAY_RATES a second.
SWAYING = np.array([1.5 * DEGREE, 1.5 * DEGREE, 0.60 * DEGREE, 0.006, 0.005, 0.002])
SWAY_RATES = (1.7, 2.1, 1.5, 1.5, 1.8, 0.4)
# A head that looks down is lower, one that turns or leans is a little aside: shares of a radian.
LOWERED_BY_PITCH = 0.20
ASIDE_BY_YAW = 0.06

LISTENING = 0.45  # of a speaker's movement
NOD_SECONDS = 0.24  # after the stress that it goes with
NOD = 0.09  # radians for each unit of stress
RETURNING = 0.3  # share of the moves that end near the middle
NEAR_THE_MIDDLE = 0.35  # of HELD
SWINGS_BACK = 0.45  # of where it was: how far beyond the middle a head moves on average
FARTHEST_LOOK = (0.10, 0.045)  # eye widths, across and down
LIDS_FOLLOW = 2.2  # how far the lids go down for each eye width that the eyes look down

# How far the lids are down in the frames of one blink; under half open for 0.12 s.
BLINK = (0.60, 1.0, 0.80, 0.35)
SECONDS_TO_BLINK = 3.4  # mean, of a speaker
HALF_BLINKS, DOUBLE_BLINKS = 0.12, 0.10  # shares
BLINK_AT_A_TURN = 11 * DEGREE  # a turn from which on some of them go with a blink
BLINK_AT_PHRASE_END = 0.4  # share of the phrases whose end has one


@dataclass(frozen=True)
class Gesture:
    """The head's state in one frame, in the units of `rig.MOTIONS`, and that of the eyes.

    Attributes:
        motion: yaw, pitch, roll (radians), shift_x (face widths), shift_y (face heights), swell,
            breathe (face heights): [7].
        brow: Raised brows, 0..1; lowered below 0.
        closed: Lids, 0 open .. 1 shut.
        look: Shift of the irises (right, down), in eye widths.
    """

    motion: DoubleArray
    brow: float
    closed: float
    look: tuple[float, float]


class Gestures:
    """The gestures of one person, a frame at a time."""

    def __init__(self, seed: int, person: int, *, liveliness: float = 1.0) -> None:
        self._liveliness = liveliness
        rng = np.random.default_rng([seed, person])
        self._posture = _Posture(rng)
        self._sway = [SmoothNoise(rng, rate=rate) for rate in SWAY_RATES]
        self._brows = SmoothNoise(rng, rate=0.5)
        self._activity = LowPass(0.32)
        self._voice = LowPass(0.04)
        self._habit = LowPass(1.0)  # what loudness the voice has lately had
        self._raised = LowPass(0.06)
        self._nod = LowPass(0.05)
        # Each follower is late by twice its own time.
        self._stresses = deque([0.0] * round((NOD_SECONDS - 2 * (0.04 + 0.05)) * FPS))
        self._blinks = _Blinks(rng)
        self._looks = _looks(rng)
        self._phase = rng.uniform(0, 2 * np.pi)
        self._frame = 0

    def step(
        self,
        *,
        activity: float,
        loudness: float,
        gaze: Gaze = NOTHING,
        liveliness: float = 1.0,
    ) -> Gesture:
        """The next frame's gesture.

        Args:
            activity: Whether the person speaks, 0..1.
            loudness: How loudly, 0..1.
            gaze: What they attend to.
            liveliness: In this mood; a factor.
        """
        t = self._frame / FPS
        self._frame += 1
        speaking = self._activity.step(activity)
        voice = self._voice.step(loudness)
        stress = (voice - self._habit.step(voice)) * speaking
        turned = self._posture.step(speaking)
        sway = np.array([wander.at(t) for wander in self._sway]) * SWAYING
        place = self._posture.at + sway * (0.25 + 0.75 * speaking)
        self._stresses.append(stress)
        place[1] -= NOD * self._nod.step(self._stresses.popleft())
        place[:2] += gaze.turn
        place[1] -= gaze.nod
        place[3] += ASIDE_BY_YAW * place[0]
        place[4] -= LOWERED_BY_PITCH * place[1]
        settled = min(1.0, t / SETTLE_SECONDS)
        settled = settled * settled * (3 - 2 * settled)
        liveliness *= self._liveliness
        lively = settled * liveliness
        motion = np.append(np.clip(lively * place, -LARGEST, LARGEST), 0.0)
        breath = np.sin(2 * np.pi * BREATHS_PER_SECOND * t + self._phase) - np.sin(self._phase)
        motion[5:] += settled * breath * np.array([0.0015, 0.004])
        accent = 3.0 * max(stress, 0.0) + 0.22 * self._brows.at(t) * (0.3 + 0.7 * speaking)
        brow = lively * self._raised.step(float(np.clip(accent, -0.35, 0.9)))
        glance = next(self._looks)
        # What is attended to is looked at wherever the head turns, as the viewer is otherwise.
        held = gaze.held * min(lively, 1.0)
        right = GAZE_BY_YAW * gaze.toward[0]
        down = -GAZE_BY_PITCH * gaze.toward[1]
        look = (
            _within(glance[0] + held * (right - glance[0]) - GAZE_BY_YAW * motion[0], 0),
            _within(glance[1] + held * (down - glance[1]) + GAZE_BY_PITCH * motion[1], 1),
        )
        turned = max(turned * liveliness, 2 * BLINK_AT_A_TURN if gaze.shifts and held else 0.0)
        shut = self._blinks.step(speaking, turned=turned)
        closed = min(max(shut, LIDS_FOLLOW * look[1]), 1.0)
        return Gesture(motion, brow, closed, look)


class _Posture:
    """Where the head is: it moves to a place, holds it, and moves on.

    Attributes:
        at: The six numbers of the place in this frame.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.at = np.zeros(6)
        self._midway = np.zeros(6)
        self._target = np.zeros(6)
        self._keep = np.exp(-1 / (0.15 * FPS))
        self._seconds_left = SETTLE_SECONDS
        self._spoke = 0.0

    def step(self, speaking: float) -> float:
        """Go on by a frame; how far a move that begins in it turns the head, in radians."""
        self._seconds_left -= 1 / FPS
        begins = speaking > 0.25 >= self._spoke
        self._spoke = speaking
        turned = self._set_out(speaking) if begins or self._seconds_left <= 0 else 0.0
        # Critically damped, as `LowPass`
        self._midway += (1 - self._keep) * (self._target - self._midway)
        self.at = self.at + (1 - self._keep) * (self._midway - self.at)
        return turned

    def _set_out(self, speaking: float) -> float:
        rng, speaks = self._rng, speaking > 0.3
        size = 1.0 if speaks else LISTENING
        if rng.random() < RETURNING:
            size *= NEAR_THE_MIDDLE
        there = size * rng.normal(0, 1, 6) * HELD - SWINGS_BACK * self._target
        self._target = np.clip(there, -FARTHEST, FARTHEST)
        seconds = rng.uniform(0.05, 0.11) if speaks else rng.uniform(0.15, 0.35)
        self._keep = np.exp(-1 / (seconds * FPS))
        self._seconds_left = rng.gamma(2.0, 0.22) + 0.25 if speaks else rng.gamma(2.0, 1.2) + 0.6
        return float(np.abs(self._target[:3] - self.at[:3]).max())


class _Blinks:
    """How far the lids are down, frame by frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._seconds_left = rng.uniform(0.8, 2.2)
        self._lids: Iterator[float] = iter(())
        self._spoke = 0.0

    def step(self, speaking: float, *, turned: float) -> float:
        """The next frame, 0 open .. 1 shut; `turned` is how far the head sets out to turn."""
        rng = self._rng
        self._seconds_left -= 1 / FPS
        phrase_ends = speaking < 0.5 <= self._spoke
        self._spoke = speaking
        if (phrase_ends and rng.random() < BLINK_AT_PHRASE_END) or (
            turned > BLINK_AT_A_TURN and rng.random() < 0.35
        ):
            self._seconds_left = min(self._seconds_left, 0.08)
        if self._seconds_left <= 0:
            self._seconds_left = rng.gamma(2.0, (SECONDS_TO_BLINK - 0.5) / 2) + 0.5
            kind = rng.random()
            if kind < HALF_BLINKS:
                self._lids = iter([0.55 * lid for lid in BLINK])
            elif kind < HALF_BLINKS + DOUBLE_BLINKS:
                self._lids = iter((*BLINK, 0.0, *BLINK))
            else:
                self._lids = iter(BLINK)
        return next(self._lids, 0.0)


def _within(value: float, axis: int) -> float:
    return float(np.clip(value, -FARTHEST_LOOK[axis], FARTHEST_LOOK[axis]))


def _looks(rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Where the eyes look, frame by frame: mostly where they did, with small quick glances."""
    here = (0.0, 0.0)
    for _ in range(round(rng.uniform(1.0, 2.0) * FPS)):
        yield here
    while True:
        if here == (0.0, 0.0) or rng.random() < 0.5:
            there = (float(rng.normal(0, 0.05)), float(rng.normal(0, 0.018)))
            there = (float(np.clip(there[0], -0.09, 0.09)), float(np.clip(there[1], -0.03, 0.04)))
        else:
            there = (0.0, 0.0)
        yield ((here[0] + there[0]) / 2, (here[1] + there[1]) / 2)
        here = there
        stay = rng.uniform(0.25, 0.8) if here != (0.0, 0.0) else rng.uniform(0.8, 3.0)
        for _ in range(max(1, round(stay * FPS))):
            yield here
