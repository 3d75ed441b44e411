"""Gestures: head posture, sway, nods with the voice, glances and blinks; brows.

Amplitudes, rates and spectra are those of filmed speakers (docs/experiments.md). Everything is a
function of the seed and of the frames so far: a talk does not depend on its chunks, and an hour
needs no more memory than a second.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.breathing import SWELL as BREATH_SWELL
from multitalk.engines.warp.breathing import Breath, Breathing
from multitalk.engines.warp.brow_motion import BrowPose, Brows
from multitalk.engines.warp.gaze import (
    GAZE_BY_PITCH,
    GAZE_BY_YAW,
    NEUTRAL_GAZE,
    STAYS_BY_PITCH,
    STAYS_BY_YAW,
    Fixation,
    Gaze,
)
from multitalk.engines.warp.head_motion import MOTIONS, foreshortening
from multitalk.engines.warp.lid_motion import LidMotion, LidShifts
from multitalk.engines.warp.smoothing import LowPass, SmoothNoise
from multitalk.engines.warp.voice_cues import NO_CUE, Cue
from multitalk.timebase import FPS

DEGREE = np.pi / 180
SETTLE_SECONDS = 0.6  # the head starts exactly as photographed

# A posture is the first six of `head_motion.MOTIONS`: yaw, pitch, roll (radians), shift_x (face
# widths), shift_y (face heights), swell. Positive pitch looks up.
POSTURE = 6
YAW, PITCH, ROLL, SHIFT_X, SHIFT_Y, SWELL, BREATHE, NARROW, SHORTEN, BODY_X = (
    *(MOTIONS.index(name) for name in ("yaw", "pitch", "roll", "shift_x", "shift_y", "swell")),
    *(MOTIONS.index(name) for name in ("breathe", "narrow", "shorten", "body_x")),
)
# Standard deviation of the postures that a speaker moves to and holds, and their limits.
HELD = np.array([7.7 * DEGREE, 7.7 * DEGREE, 4.3 * DEGREE, 0.016, 0.009, 0.016])
FARTHEST = np.array([8.7 * DEGREE, 8.0 * DEGREE, 7.0 * DEGREE, 0.12, 0.040, 0.035])
LARGEST = 1.2 * FARTHEST  # at any liveliness
# Heads that speak are level on average, whatever a photograph caught: pitch of a level one as
# landmarks measure it (positive looks down), share of the way back to it, and its limit.
LEVEL_PITCH, LEVELLED, MOST_LEVELLED = 4 * DEGREE, 0.5, 3 * DEGREE
# Standard deviation of the sway on top while speaking, its rates (Hz), and its share in silence.
SWAYING = np.array([1.5 * DEGREE, 1.5 * DEGREE, 0.60 * DEGREE, 0.006, 0.005, 0.002])
SWAY_RATES = (1.7, 2.1, 1.5, 1.5, 1.8, 0.4)
SILENT_SWAY = 0.25
# A head that looks down is lower: shifts per radian.
LOWERED_BY_PITCH = 0.20
ASIDE_BY_YAW = 0.0
# One that leans goes the other way with the neck: it leans about the mouth, not the neck's base.
ASIDE_BY_ROLL = -0.40
# The slow sway of the whole person from side to side: standard deviation, rate (Hz), limit.
TORSO, TORSO_RATE, MOST_TORSO = 0.06, 0.14, 0.11  # face widths
SILENT_TORSO = 0.5  # share of it in silence

# Shoulders follow the head late (time constant, seconds) and less: shares of its shifts aside and
# down, and face widths per radian that it leans.
BODY_SECONDS, BODY_SWAYS, BODY_FOLLOWS, BODY_LEANS = 0.13, 0.8, 0.45, 0.05

# How postures change. Seconds are time constants of the movement, and parameters of a gamma
# distribution (shape 2, scale) plus a minimum for how long a posture is held. A movement is that of
# `MOVE_STAGES` one-pole filters in series: with two, a head goes from rest to full speed within a
# frame, which no filmed one does (docs/experiments.md).
MOVE_STAGES = 4
SPEAKS = 0.3  # of the smoothed activity
BEGINS, BEGINNING_SECONDS = 0.10, 1.0  # before the voice; for which it then counts as speaking
SILENT, LISTENING = 0.45, 0.65  # of a speaker's amplitude, of who is silent or attends to another
RETURNING = 0.3  # share of the moves that end near the middle
NEAR_THE_MIDDLE = 0.35  # of HELD
SWINGS_BACK = 0.45  # of the previous posture: mean overshoot beyond the middle
FIRST_MOVE_SECONDS = 0.105
MOVE_SECONDS, LISTENING_MOVE_SECONDS = (0.035, 0.077), (0.105, 0.245)
HOLD_SECONDS, LISTENING_HOLD_SECONDS = (0.30, 0.22), (0.9, 0.5)

CHIN_BY_BREATH = 1.2 * DEGREE  # up, while a breath is drawn

# Voice to head: time constants (seconds), delay and size of nods.
ACTIVITY_SECONDS, VOICE_SECONDS, HABIT_SECONDS = 0.32, 0.04, 1.0
NOD_FILTER_SECONDS = 0.05
NOD_SECONDS = 0.32  # between a stress and its nod
NOD = 0.12  # radians per unit of stress

# Glances: standard deviations, limits (eye widths, across and down), share, seconds.
GLANCE, GLANCE_LIMITS, GLANCE_SHARE = (0.032, 0.022), ((-0.08, 0.08), (-0.03, 0.045)), 0.25
FIRST_GLANCE, GLANCE_SECONDS, VIEWER_SECONDS = (1.0, 2.0), (0.25, 0.7), (1.0, 3.5)
LOOKS_BACK = 0.4  # seconds before the voice
FARTHEST_LOOK = (0.14, 0.045)  # eye widths, across and down

# Blinks: closing of the lids in the frames of one: shut within 80 ms, open again slowly at the end.
# 91 filmed ones, VASA-1's and EMO's among them, are under half of the usual opening for 2, 3 and 4
# frames (quartiles), and open from there to 0.85 of it in 1, 2 and 4: so there are quick and slow
# ones. Between blinks the lids are as in the photograph: a look moves them.
BLINK = (0.55, 1.0, 0.95, 0.62, 0.35, 0.18)
QUICK_BLINK = (0.70, 1.0, 0.60, 0.25, 0.10)
SLOW_BLINK = (0.55, 1.0, 1.0, 0.95, 0.75, 0.52, 0.38, 0.26, 0.16, 0.08)
QUICK_BLINKS, SLOW_BLINKS = 0.25, 0.30  # shares
SECONDS_TO_BLINK, MIN_SECONDS_TO_BLINK = 4.5, 0.5  # mean of a speaker, minimum
FIRST_BLINK_SECONDS = (0.8, 2.2)
HALF_BLINKS, DOUBLE_BLINKS, HALF_CLOSED = 0.04, 0.10, 0.62  # shares; size of a half blink
BLINK_TURN, BLINK_AT_TURN = 11 * DEGREE, 0.25  # from this turn, this share goes with a blink
BLINK_AT_PHRASE_END, BLINK_AT_ONSET = 0.4, 0.2  # shares of the phrases
BLINK_AT_SHIFT = 0.5  # share of the looks from one person to another that go with a blink
BLINK_SOON_SECONDS = 0.08


@dataclass(frozen=True)
class Gesture:
    """The state of head and eyes in one frame.

    Attributes:
        motion: Weights of `head_motion.MOTIONS`, [11].
        brows: Of the upper face.
        closed: Lids, 0 open .. 1 shut.
        look: Shift of the irises (right, down), eye widths.
        lids: Of open eyes.
        parted: How far the lips part for a breath, 0..1.
    """

    motion: DoubleArray
    brows: BrowPose
    closed: float
    look: tuple[float, float]
    lids: LidShifts
    parted: float


def levelling(photographed: float) -> float:
    """Pitch (up, radians) around which a head moves that was photographed at a pitch (down)."""
    back = LEVELLED * (photographed - LEVEL_PITCH)
    return float(np.clip(back, -MOST_LEVELLED, MOST_LEVELLED))


class Gestures:
    """The gestures of one person, one frame per step."""

    def __init__(
        self, seed: int, person: int, *, liveliness: float = 1.0, raised: float = 0.0
    ) -> None:
        """Seed the gestures.

        Args:
            seed: Of the random generator.
            person: Index in the scene.
            liveliness: Scales all gestures.
            raised: Pitch around which the head moves, radians: from `levelling`.
        """
        self._liveliness = liveliness
        self._raised_by = raised
        rng = np.random.default_rng([seed, person])
        self._posture = _Posture(rng)
        self._sway = [SmoothNoise(rng, rate=rate) for rate in SWAY_RATES]
        self._activity = LowPass(ACTIVITY_SECONDS)
        self._voice = LowPass(VOICE_SECONDS)
        self._habit = LowPass(HABIT_SECONDS)  # recent loudness of the voice
        self._nod = LowPass(NOD_FILTER_SECONDS)
        # Each filter delays by twice its time constant.
        delay = NOD_SECONDS - 2 * (VOICE_SECONDS + NOD_FILTER_SECONDS)
        self._stresses = deque([0.0] * round(delay * FPS))
        self._body = (LowPass(BODY_SECONDS), LowPass(BODY_SECONDS))
        # Each draws from a generator of its own: when one draws does not change another.
        self._brows = Brows(seed, person)
        self._breathing = Breathing(np.random.default_rng([seed, person, 3]))
        self._blinks = _Blinks(np.random.default_rng([seed, person, 4]))
        self._glances = _Glances(np.random.default_rng([seed, person, 5]))
        self._fixation = Fixation(seed, person)
        self._torso = SmoothNoise(np.random.default_rng([seed, person, 8]), rate=TORSO_RATE)
        self._lids = LidMotion(seed, person)
        self._frame = 0

    def step(
        self,
        *,
        activity: float,
        loudness: float,
        melody: float = 0.0,
        gaze: Gaze = NEUTRAL_GAZE,
        liveliness: float = 1.0,
        cue: Cue = NO_CUE,
    ) -> Gesture:
        """The next frame's gesture.

        Args:
            activity: Whether the person speaks, 0..1.
            loudness: Of the voice, 0..1.
            melody: Semitones above the voice's usual pitch.
            gaze: Of the person.
            liveliness: Of the current mood, a factor.
            cue: Of the person's voice.
        """
        t = self._frame / FPS
        self._frame += 1
        speaking = self._activity.step(activity)
        voice = self._voice.step(loudness)
        stress = (voice - self._habit.step(voice)) * speaking
        turned = self._posture.step(speaking, cue, listens=gaze.listens)
        breath = self._breathing.step(cue)
        posture = self._posture_now(t, speaking, stress, gaze, breath)
        settled = min(1.0, t / SETTLE_SECONDS)
        settled = settled * settled * (3 - 2 * settled)
        liveliness *= self._liveliness
        lively = settled * liveliness
        motion = np.zeros(len(MOTIONS))
        motion[:POSTURE] = np.clip(lively * posture, -LARGEST, LARGEST)
        motion[PITCH] += min(lively, 1.0) * self._raised_by
        motion[NARROW : SHORTEN + 1] = foreshortening(motion[YAW], motion[PITCH])
        motion[BODY_X:] = self._shoulders(motion)
        motion[SWELL] += settled * BREATH_SWELL * breath.chest
        motion[BREATHE] += settled * breath.chest
        brows = self._brows.step(
            speaking=speaking, stress=stress, melody=melody, cue=cue, listens=gaze.listens
        )
        (right, down), (aside, below) = self._glances.step(cue), self._fixation.step()
        look = _look((right + aside, down + below), gaze, motion, min(lively, 1.0))
        closed = self._blinks.step(
            cue, turned=turned * liveliness, shifts=gaze.shifts and gaze.held > 0
        )
        upper, lower = self._lids.step(speaking=speaking, stress=stress)
        calm = min(lively, 1.0)
        lids = (calm * upper, calm * lower)
        return Gesture(motion, brows.scaled(lively), closed, look, lids, breath.parted)

    def _shoulders(self, motion: DoubleArray) -> tuple[float, float]:
        """Shift of the shoulders after the head: face widths right, face heights down."""
        aside, down = self._body
        right = BODY_SWAYS * motion[SHIFT_X] + BODY_LEANS * motion[ROLL]
        return aside.step(float(right)), down.step(float(BODY_FOLLOWS * motion[SHIFT_Y]))

    def _posture_now(
        self, t: float, speaking: float, stress: float, gaze: Gaze, breath: Breath
    ) -> DoubleArray:
        """The held posture with sway, nods, the gaze's turn and a breath's raised chin, [6]."""
        sway = np.array([noise.at(t) for noise in self._sway]) * SWAYING
        posture = self._posture.at + sway * (SILENT_SWAY + (1 - SILENT_SWAY) * speaking)
        self._stresses.append(stress)
        posture[PITCH] -= NOD * self._nod.step(self._stresses.popleft())
        posture[[YAW, PITCH]] += gaze.turn
        posture[PITCH] += CHIN_BY_BREATH * breath.drawn - gaze.nod
        torso = float(np.clip(TORSO * self._torso.at(t), -MOST_TORSO, MOST_TORSO))
        posture[SHIFT_X] += torso * (SILENT_TORSO + (1 - SILENT_TORSO) * speaking)
        posture[SHIFT_X] += ASIDE_BY_YAW * posture[YAW] + ASIDE_BY_ROLL * posture[ROLL]
        posture[SHIFT_Y] -= LOWERED_BY_PITCH * posture[PITCH]
        return posture


class _Posture:
    """Moves to a posture, holds it, and moves on.

    Attributes:
        at: The posture in this frame, [6].
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.at = np.zeros(POSTURE)
        self._stages = np.zeros((MOVE_STAGES, POSTURE))
        self._target = np.zeros(POSTURE)
        self._keep = np.exp(-1 / (FIRST_MOVE_SECONDS * FPS))
        self._seconds_left = SETTLE_SECONDS
        self._calm = SILENT
        self._is_near = False  # the voice that begins
        self._beginning = 0.0  # seconds for which it then counts as speaking

    def step(self, speaking: float, cue: Cue, *, listens: bool = False) -> float:
        """Advance one frame; the turn, radians, of a move that begins in it."""
        self._calm = LISTENING if listens else SILENT
        self._seconds_left -= 1 / FPS
        self._beginning -= 1 / FPS
        was_near, self._is_near = self._is_near, cue.onset <= BEGINS
        begins = self._is_near and not was_near
        if begins:
            self._beginning = BEGINNING_SECONDS
        turned = 0.0
        if begins or self._seconds_left <= 0:
            turned = self._begin_move(self._beginning > 0 or speaking > SPEAKS)
        elif cue.ends:
            self._beginning = 0.0
            turned = self._begin_move(speaks=False)
        self.at = self._target
        for index, stage in enumerate(self._stages):
            self._stages[index] = self.at = stage + (1 - self._keep) * (self.at - stage)
        return turned

    def _begin_move(self, speaks: bool) -> float:
        rng = self._rng
        size = 1.0 if speaks else self._calm
        if rng.random() < RETURNING:
            size *= NEAR_THE_MIDDLE
        target = size * rng.normal(0, 1, POSTURE) * HELD - SWINGS_BACK * self._target
        self._target = np.clip(target, -FARTHEST, FARTHEST)
        seconds = rng.uniform(*(MOVE_SECONDS if speaks else LISTENING_MOVE_SECONDS))
        self._keep = np.exp(-1 / (seconds * FPS))
        scale, least = HOLD_SECONDS if speaks else LISTENING_HOLD_SECONDS
        self._seconds_left = rng.gamma(2.0, scale) + least
        return float(np.abs(self._target[:SHIFT_X] - self.at[:SHIFT_X]).max())


class _Blinks:
    """Closing of the lids, frame by frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._seconds_left = rng.uniform(*FIRST_BLINK_SECONDS)
        self._lids: Iterator[float] = iter(())
        self._is_near = False  # the voice that begins

    def step(self, cue: Cue, *, turned: float, shifts: bool = False) -> float:
        """The next frame, 0 open .. 1 shut.

        Args:
            cue: Of the voice.
            turned: Turn, radians, of a head movement that begins in this frame.
            shifts: Whether the eyes start to move to another person in it.
        """
        rng = self._rng
        self._seconds_left -= 1 / FPS
        was_near, self._is_near = self._is_near, cue.onset <= LOOKS_BACK
        if (
            (cue.ends and rng.random() < BLINK_AT_PHRASE_END)
            or (self._is_near and not was_near and rng.random() < BLINK_AT_ONSET)
            or (turned > BLINK_TURN and rng.random() < BLINK_AT_TURN)
            or (shifts and rng.random() < BLINK_AT_SHIFT)
        ):
            self._seconds_left = min(self._seconds_left, BLINK_SOON_SECONDS)
        if self._seconds_left <= 0:
            scale = (SECONDS_TO_BLINK - MIN_SECONDS_TO_BLINK) / 2
            self._seconds_left = rng.gamma(2.0, scale) + MIN_SECONDS_TO_BLINK
            kind = rng.random()
            if kind < HALF_BLINKS:
                self._lids = iter([HALF_CLOSED * lid for lid in BLINK])
            elif kind < HALF_BLINKS + DOUBLE_BLINKS:
                self._lids = iter((*BLINK, 0.0, *BLINK))
            elif kind < HALF_BLINKS + DOUBLE_BLINKS + QUICK_BLINKS:
                self._lids = iter(QUICK_BLINK)
            else:
                self._lids = iter(SLOW_BLINK if kind > 1 - SLOW_BLINKS else BLINK)
        return next(self._lids, 0.0)


def _look(
    glance: tuple[float, float], gaze: Gaze, motion: DoubleArray, lively: float
) -> tuple[float, float]:
    """Shift of the irises (right, down), eye widths.

    The gaze's target is fixated however the head turns, and without one the viewer.
    """
    held = gaze.held * lively
    right = GAZE_BY_YAW * gaze.toward[0]
    down = -GAZE_BY_PITCH * gaze.toward[1]
    across = glance[0] + held * (right - glance[0]) - STAYS_BY_YAW * motion[YAW]
    below = glance[1] + held * (down - glance[1]) + STAYS_BY_PITCH * motion[PITCH]
    return (
        float(np.clip(across, -FARTHEST_LOOK[0], FARTHEST_LOOK[0])),
        float(np.clip(below, -FARTHEST_LOOK[1], FARTHEST_LOOK[1])),
    )


class _Glances:
    """Where the eyes look: at the viewer, with quick glances, back before the voice begins."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._to = (0.0, 0.0)
        self._frames_left = round(rng.uniform(*FIRST_GLANCE) * FPS)

    def step(self, cue: Cue) -> tuple[float, float]:
        """The next frame's shift of the irises (right, down), eye widths."""
        if cue.onset <= LOOKS_BACK and self._to != (0.0, 0.0):
            return self._glance_at((0.0, 0.0))
        self._frames_left -= 1
        if self._frames_left >= 0:
            return self._to
        if self._to != (0.0, 0.0) and self._rng.random() >= GLANCE_SHARE:
            return self._glance_at((0.0, 0.0))
        right, down = (
            float(np.clip(self._rng.normal(0, deviation), *limits))
            for deviation, limits in zip(GLANCE, GLANCE_LIMITS, strict=True)
        )
        return self._glance_at((right, down))

    def _glance_at(self, there: tuple[float, float]) -> tuple[float, float]:
        """Half-way in the first frame, and there in those that follow."""
        here, self._to = self._to, there
        stay = GLANCE_SECONDS if there != (0.0, 0.0) else VIEWER_SECONDS
        self._frames_left = max(1, round(self._rng.uniform(*stay) * FPS))
        return ((here[0] + there[0]) / 2, (here[1] + there[1]) / 2)
