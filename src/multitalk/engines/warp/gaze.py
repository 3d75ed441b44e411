"""Gaze and listening: where a person looks, when they nod, and a listener's smile.

A listener looks at the speaker and now and then at the viewer, nods at the ends of phrases and
smiles a little. Somebody who is alone looks aside for a moment in a pause. A function of the seed
and of who has spoken so far, frame by frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.smoothing import LowPass
from multitalk.engines.warp.voice_cues import NO_CUE, SPEAKS, Cue
from multitalk.face import mesh
from multitalk.timebase import FPS

Direction = tuple[float, float]  # yaw (right) and pitch (up), radians from the photograph's gaze

DEGREE = np.pi / 180
# Shift of an iris, eye widths, per radian that the eye turns: an eyeball of 12 mm radius in a gap
# of 30 mm; up and down the lids hide some of it.
GAZE_BY_YAW, GAZE_BY_PITCH = 0.40, 0.28
# The same per radian of the head, so that the eyes stay on the viewer, fitted to what landmarks
# read on films. A turned head takes irises 0.1 along, which are before the corners of the eyes.
STAYS_BY_YAW, STAYS_BY_PITCH = 0.42, 0.42
MAX_IRIS_OFFSET = 0.15  # eye widths in a photograph; beyond is a misreading
# Face heights from the people to the viewer. A picture does not say; at arm's length a neighbour is
# then 30 degrees aside.
VIEWER_DISTANCE = 2.5

# Shares and limits are set by eye on films of conversations; seconds are uniform ranges, or scale
# and minimum of a gamma distribution of shape 2.
HEAD_SHARE = 0.45  # of the gaze's angle that the head turns
HEAD_LIMITS = (10 * DEGREE, 4.5 * DEGREE)  # yaw, pitch
HEAD_STAYS = 0.5  # of that turn, while the eyes are back at the viewer for a moment
HEAD_SECONDS, SMILE_SECONDS = 0.11, 0.5  # time constants
# Seconds before a voice in which its speaker turns to the viewer. Listeners' heads turn about when
# it begins, some before (Hadley and Culling, "Timing of head turns to upcoming talkers", 2022).
PREPARES, IS_NOTICED = 0.45, 0.25
NOTICE_SECONDS = (0.10, 0.45)  # from then until a new speaker is looked at
RETURN_SECONDS = (0.04, 0.2)  # until somebody who is about to speak looks at the viewer
REMEMBER_SECONDS = 2.5  # for which the last speaker is still looked at
LET_GO_SECONDS = (0.0, 0.5)  # until the eyes then go back
AT_SPEAKER_SECONDS, AT_VIEWER_SECONDS = (1.2, 1.5), (0.35, 0.5)
SMILES = (-0.15, 0.60)  # of a listener, drawn at each look at the speaker; 0 and less: none

NODS_AT_PHRASE_END, NOD_AFTER_SECONDS = 0.65, (0.05, 0.35)  # share of the phrase ends
SECONDS_TO_NOD, MIN_SECONDS_TO_NOD = 5.5, 1.6  # mean, while the speaker goes on; minimum
# Brows that flash up beside a nod or in its place: shares, weight of `brow`, time constant, and how
# long they stay up.
FLASH_BESIDE, FLASH_INSTEAD = 0.35, 0.20
FLASH, FLASH_SECONDS, FLASH_HOLDS = (0.30, 0.60), 0.05, (0.12, 0.35)
NOD_DUE_SECONDS = 0.4  # a nod this near happens in the pause, too
NOD_SIZE, NOD_SECONDS, NOD_SPREAD = 3.4 * DEGREE, 0.44, (0.7, 1.3)  # depth, length, factor
NOD_SERIES = (1.0, 0.6, 0.35)  # sizes of up to three nods in a row

THINKS = 0.6  # share of the pauses in which somebody who is alone looks aside
THINK_AFTER_SECONDS, THINKING_SECONDS, BETWEEN_THOUGHTS = (0.15, 0.45), (0.6, 1.4), (1.5, 1.0)
THINKING_YAW, THINKING_PITCH = (8 * DEGREE, 14 * DEGREE), (-5 * DEGREE, 7 * DEGREE)

# Fixation: sizes, radians (the last one a second); seconds between steps, scale and minimum of a
# gamma distribution of shape 2. A viewer's eyes and mouth are some 5 degrees apart at arm's length.
MICROSACCADE, MAX_MICROSACCADE, DRIFT = 0.35 * DEGREE, 1.0 * DEGREE, 0.2 * DEGREE
MICROSACCADE_WAY = np.array([1.0, 0.5])  # sideways, up or down
TO_ANOTHER_PART, FACE_PARTS = 0.35, np.array([2.3, 2.0]) * DEGREE  # share of the steps; deviations
FIRST_STEP_SECONDS, STEP_SECONDS = (0.3, 0.8), (0.22, 0.16)

THOUGHT = -1  # attended to, in place of the index of another person


@dataclass(frozen=True)
class Gaze:
    """The effect of gaze and listening on a head in one frame.

    Attributes:
        toward: Direction of the target.
        held: Weight of the target against the gaze without one, 0..1.
        turn: Yaw and pitch of the head towards it, radians.
        nod: Depth of a nod, radians.
        smile: Weight of `smile`.
        flash: Weight of `brow`: brows that flash up at what is heard.
        listens: Whether this person attends to another.
        shifts: Whether the eyes start to move elsewhere in this frame.
    """

    toward: Direction = (0.0, 0.0)
    held: float = 0.0
    turn: Direction = (0.0, 0.0)
    nod: float = 0.0
    smile: float = 0.0
    flash: float = 0.0
    listens: bool = False
    shifts: bool = False


NEUTRAL_GAZE = Gaze()


def directions_to_others(frames: Sequence[HeadFrame], person: int) -> tuple[Direction, ...]:
    """The directions in which a person sees each of the others, in their order."""
    own = frames[person]
    gaze = own.yaw_degrees * DEGREE + iris_offset(own) / GAZE_BY_YAW
    away = [
        (frame.origin - own.origin)[:2] / own.height
        for index, frame in enumerate(frames)
        if index != person
    ]
    return tuple(
        (
            float(np.arctan2(right, VIEWER_DISTANCE)) - gaze,
            -float(np.arctan2(down, VIEWER_DISTANCE)),
        )
        for right, down in away
    )


def iris_offset(frame: HeadFrame) -> float:
    """Offset of the photograph's irises to the right of the eye centres, eye widths.

    In the head's axes; mean of both eyes.
    """
    across = frame.local[:, 0]
    offsets = []
    for lid, iris in (
        (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_IRIS),
        (mesh.LEFT_EYE_UPPER, mesh.LEFT_IRIS),
    ):
        ends = across[[lid[0], lid[-1]]]
        offsets.append((across[iris[0]] - ends.mean()) / abs(ends[1] - ends[0]))
    return float(np.clip(np.mean(offsets), -MAX_IRIS_OFFSET, MAX_IRIS_OFFSET))


class Fixation:
    """Movements of an eye that fixates, one frame per step: it is never still for long.

    Microsaccades: one or two a second, most under half a degree and none beyond one, rather
    sideways than up or down (M. Rolfs, "Microsaccades: small steps on a long way", 2009). Some
    steps go from one part of the viewer's face to another. After a step the eye drifts by some
    tenths of a degree a second (S. Martinez-Conde, S. Macknik, D. Hubel, "The role of fixational
    eye movements in visual perception", 2004).
    """

    def __init__(self, seed: int, person: int) -> None:
        """Seed the movements."""
        self._rng = np.random.default_rng([seed, person, 2])
        self._at = np.zeros(2)  # right, down, radians
        self._drift = np.zeros(2)  # radians a frame
        self._part = np.zeros(2)  # of the viewer's face that is looked at
        self._seconds_left = self._rng.uniform(*FIRST_STEP_SECONDS)

    def step(self) -> Direction:
        """Where the eye is in the next frame, eye widths (right, down) from its target."""
        rng = self._rng
        self._seconds_left -= 1 / FPS
        if self._seconds_left <= 0:
            scale, least = STEP_SECONDS
            self._seconds_left = rng.gamma(2.0, scale) + least
            if rng.random() < TO_ANOTHER_PART:
                self._part = rng.normal(0, 1, 2) * FACE_PARTS
            size = np.minimum(rng.exponential(MICROSACCADE), MAX_MICROSACCADE)
            way = rng.normal(0, 1, 2) * MICROSACCADE_WAY
            self._at = self._part + size * way / max(float(np.hypot(*way)), 1e-6)
            self._drift = rng.normal(0, DRIFT / FPS, 2)
        self._at = self._at + self._drift
        return float(GAZE_BY_YAW * self._at[0]), float(GAZE_BY_PITCH * self._at[1])


class GazeModel:
    """Gaze and listening of one person, one frame per step."""

    def __init__(self, seed: int, person: int, others: Sequence[Direction] = ()) -> None:
        """Seed the model; `others` are from `directions_to_others`."""
        self._rng = np.random.default_rng([seed, person, 1])
        self._others = tuple(others)
        self._spoke = self._target_spoke = False  # in the previous frame
        self._target: int | None = None  # the other who is attended to, or THOUGHT
        self._fixated: int | None = None  # what the eyes are at: the target or None, the viewer
        self._quiet = 0.0  # seconds since anybody spoke
        self._seconds_left = np.inf  # until the eyes move
        self._eyes = np.zeros(3)  # direction, `held`
        self._goal = np.zeros(3)  # of the eye movement
        self._turn = (LowPass(HEAD_SECONDS), LowPass(HEAD_SECONDS))
        self._nods: Iterator[float] = iter(())
        self._to_nod = self._seconds_to_nod()
        self._smile = LowPass(SMILE_SECONDS)
        self._smile_goal = 0.0
        self._flash = LowPass(FLASH_SECONDS)
        self._flash_goal, self._flash_left = 0.0, 0.0

    def step(
        self,
        activity: float,
        others: Sequence[float] = (),
        *,
        cue: Cue = NO_CUE,
        cues: Sequence[Cue] = (),
    ) -> Gaze:
        """The next frame.

        Args:
            activity: Of this person, 0..1.
            others: Activity of each of the others.
            cue: Of this person's voice.
            cues: Of the others' voices; none where they are not known.
        """
        speaks = activity > SPEAKS or cue.onset <= PREPARES
        if cues:
            others = [
                1.0 if other_cue.onset <= IS_NOTICED else other
                for other, other_cue in zip(others, cues, strict=True)
            ]
        self._choose_target(speaks, others)
        shifts = self._move_eyes()
        listens = self._target is not None and self._target != THOUGHT
        self._nod(listens and others[self._target or 0] > SPEAKS, listens)
        self._spoke = speaks
        share = HEAD_SHARE * (1.0 if self._fixated is not None else HEAD_STAYS)
        goal = self._goal[:2] * (share if self._target is not None else 0.0)
        yaw, pitch = np.clip(goal, np.negative(HEAD_LIMITS), HEAD_LIMITS)
        return Gaze(
            toward=(float(self._eyes[0]), float(self._eyes[1])),
            held=float(self._eyes[2]),
            turn=(self._turn[0].step(float(yaw)), self._turn[1].step(float(pitch))),
            nod=next(self._nods, 0.0),
            smile=self._smile.step(self._smile_goal if listens else 0.0),
            flash=self._flash.step(self._flash_goal if self._flash_left > 0 else 0.0),
            listens=listens,
            shifts=shifts,
        )

    def _choose_target(self, speaks: bool, others: Sequence[float]) -> None:
        """Choose what this person attends to, and when the eyes follow."""
        rng, target = self._rng, self._target
        loudest = int(np.argmax(others)) if len(others) else THOUGHT
        other_speaks = loudest != THOUGHT and others[loudest] > SPEAKS
        self._quiet = 0.0 if speaks or other_speaks else self._quiet + 1 / FPS
        if speaks:
            if target is not None:
                self._attend(None, RETURN_SECONDS)
        elif other_speaks:
            attends = target is not None and target != THOUGHT and others[target] > SPEAKS
            if not attends and target != loudest:
                self._attend(loudest, NOTICE_SECONDS)
                self._target_spoke = False
        elif self._spoke:
            if rng.random() < THINKS:
                self._attend(THOUGHT, THINK_AFTER_SECONDS)
        elif target is not None and target != THOUGHT and self._quiet > REMEMBER_SECONDS:
            self._attend(None, LET_GO_SECONDS)

    def _attend(self, target: int | None, seconds: tuple[float, float]) -> None:
        self._target, self._seconds_left = target, self._rng.uniform(*seconds)

    def _move_eyes(self) -> bool:
        """Advance one frame; whether the eyes start to move elsewhere in it."""
        rng = self._rng
        self._seconds_left -= 1 / FPS
        if self._seconds_left > 0:
            self._eyes = self._goal.copy()
            return False
        thinks = self._target == THOUGHT
        if self._target is None or self._fixated == self._target:
            self._fixated = None
            self._goal = np.array([*self._goal[:2], 0.0])
            scale, least = BETWEEN_THOUGHTS if thinks else AT_VIEWER_SECONDS
            away = rng.gamma(2.0, scale) + least
            self._seconds_left = np.inf if self._target is None else away
        else:
            self._fixated = self._target
            self._smile_goal = max(rng.uniform(*SMILES), 0.0)
            self._goal = np.array([*self._direction(self._target), 1.0])
            scale, least = AT_SPEAKER_SECONDS
            self._seconds_left = (
                rng.uniform(*THINKING_SECONDS) if thinks else rng.gamma(2.0, scale) + least
            )
        start = self._eyes if self._eyes[2] else np.array([*self._goal[:2], 0.0])
        self._eyes = (start + self._goal) / 2
        return True

    def _direction(self, target: int) -> Direction:
        if target != THOUGHT:
            return self._others[target]
        side = 1 if self._rng.random() < 0.5 else -1
        return side * self._rng.uniform(*THINKING_YAW), self._rng.uniform(*THINKING_PITCH)

    def _nod(self, spoken_to: bool, listens: bool) -> None:
        """Start a nod where one is due: at the end of a phrase, or after some listening."""
        rng = self._rng
        self._flash_left -= 1 / FPS
        phrase_ends = listens and self._target_spoke and not spoken_to
        self._target_spoke = spoken_to
        if phrase_ends and rng.random() < NODS_AT_PHRASE_END:
            self._to_nod = min(self._to_nod, rng.uniform(*NOD_AFTER_SECONDS))
        elif spoken_to or self._to_nod < NOD_DUE_SECONDS:
            self._to_nod -= 1 / FPS
        if self._to_nod <= 0:
            self._to_nod = self._seconds_to_nod()
            if listens:
                reply = rng.random()
                if reply < FLASH_BESIDE + FLASH_INSTEAD:
                    self._flash_goal = rng.uniform(*FLASH)
                    self._flash_left = rng.uniform(*FLASH_HOLDS)
                if reply >= FLASH_INSTEAD:
                    size = NOD_SIZE * rng.uniform(*NOD_SPREAD)
                    self._nods = _nods(size, int(rng.integers(1, len(NOD_SERIES) + 1)))

    def _seconds_to_nod(self) -> float:
        scale = (SECONDS_TO_NOD - MIN_SECONDS_TO_NOD) / 2
        return float(self._rng.gamma(2.0, scale) + MIN_SECONDS_TO_NOD)


def _nods(size: float, count: int) -> Iterator[float]:
    """Depth of nods in a row, radians per frame."""
    frames = round(NOD_SECONDS * FPS)
    for share in NOD_SERIES[:count]:
        for frame in range(1, frames + 1):
            yield size * share * (1 - np.cos(2 * np.pi * frame / frames)) / 2
