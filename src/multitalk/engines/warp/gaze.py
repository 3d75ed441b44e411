"""Where a person's mind is: with who speaks, with the viewer, or on what to say next.

Who listens looks at the speaker and now and then back at the viewer, nods at the ends of phrases,
and smiles a little. Who pauses in a talk of their own looks aside for a moment. A function of the
seed and of who has spoken so far, frame by frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.smoothing import LowPass
from multitalk.face import mesh
from multitalk.timebase import FPS

Direction = tuple[float, float]  # yaw and pitch in radians from the photograph's gaze: right, up

DEGREE = np.pi / 180
# Eye widths by which an iris moves for each radian that the eye turns: an eyeball of 12 mm radius
# in a gap of 30 mm; up and down the lids hide some of it.
GAZE_BY_YAW, GAZE_BY_PITCH = 0.40, 0.28
# Face heights from the people to where they look when they look at the viewer. A picture does not
# tell; at arm's length a neighbour is 30 degrees aside.
VIEWER_AWAY = 2.5

HEAD_GOES = 0.30  # share of a look's angle that the head turns
HEAD_TURNS = (7 * DEGREE, 3.5 * DEGREE)  # at most
HEAD_STAYS = 0.5  # of that turn, while the eyes are back at the viewer for a moment
SPEAKS = 0.5  # activity from which on somebody is taken to speak
NOTICES = (0.10, 0.45)  # seconds until a new speaker is looked at
REMEMBERS = 2.5  # seconds for which who has spoken is still looked at
SMILE = 0.18  # weight of a listener's
NODS_AT_PHRASE_END = 0.55  # share of the ends that a listener nods at
SECONDS_TO_NOD = 7.0  # mean, while the speaker goes on
NOD_SIZE, NOD_SECONDS = 3.4 * DEGREE, 0.44  # how far down, and how long one takes
NODS = (1.0, 0.6, 0.35)  # sizes of several in a row
THINKS = 0.6  # share of the pauses in which who is alone looks aside
THINKING_YAW, THINKING_PITCH = (8 * DEGREE, 14 * DEGREE), (-5 * DEGREE, 7 * DEGREE)

THOUGHT = -1  # on one's mind, in place of the index of who speaks


@dataclass(frozen=True)
class Gaze:
    """What gaze does to a head in one frame.

    Attributes:
        toward: Yaw and pitch of what is looked at, radians from the photograph's gaze.
        held: How far the eyes are there, and not where they are anyhow: 0..1.
        turn: Yaw and pitch that the head turns towards it, radians.
        nod: How far a nod has lowered the head, radians.
        smile: Weight of `smile`.
        shifts: Whether the eyes set out for somewhere else in this frame.
    """

    toward: Direction = (0.0, 0.0)
    held: float = 0.0
    turn: Direction = (0.0, 0.0)
    nod: float = 0.0
    smile: float = 0.0
    shifts: bool = False


NOTHING = Gaze()


def directions_to_others(frames: Sequence[HeadFrame], person: int) -> tuple[Direction, ...]:
    """Where a person would have to look to look at each of the others, in their order."""
    own = frames[person]
    gaze = own.yaw_degrees * DEGREE + iris_offset(own) / GAZE_BY_YAW
    away = [
        (frame.origin - own.origin)[:2] / own.height
        for index, frame in enumerate(frames)
        if index != person
    ]
    return tuple(
        (
            float(np.arctan2(right, VIEWER_AWAY)) - gaze,
            -float(np.arctan2(down, VIEWER_AWAY)),
        )
        for right, down in away
    )


def iris_offset(frame: HeadFrame) -> float:
    """How far right of the middle of their eyes the photograph's irises are, in eye widths.

    In the head's own axes; the mean of both eyes.
    """
    across = frame.local[:, 0]
    offsets = []
    for lid, iris in (
        (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_IRIS),
        (mesh.LEFT_EYE_UPPER, mesh.LEFT_IRIS),
    ):
        ends = across[[lid[0], lid[-1]]]
        offsets.append((across[iris[0]] - ends.mean()) / abs(ends[1] - ends[0]))
    return float(np.clip(np.mean(offsets), -0.15, 0.15))


class GazeModel:
    """The gaze of one person, a frame at a time."""

    def __init__(self, seed: int, person: int, others: Sequence[Direction] = ()) -> None:
        """Attend; `others` says where the others are, from `directions_to_others`."""
        self._rng = np.random.default_rng([seed, person, 1])
        self._others = tuple(others)
        self._spoke = self._spoke_there = False  # in the frame before: this person, the speaker
        self._mind: int | None = None  # the other who is attended to, or THOUGHT
        self._at: int | None = None  # what of that the eyes are at; None: the viewer
        self._quiet = 0.0  # seconds since anybody spoke
        self._left = np.inf  # seconds until the eyes go elsewhere
        self._eyes = np.zeros(3)  # yaw and pitch of what they look at, and `held`
        self._goal = np.zeros(3)  # where they go
        self._turn = (LowPass(0.11), LowPass(0.11))
        self._nods: Iterator[float] = iter(())
        self._to_nod = self._seconds_to_nod()
        self._smile = LowPass(0.5)

    def step(self, activity: float, others: Sequence[float] = ()) -> Gaze:
        """The next frame, given how far this person and each of the others speak (0..1)."""
        speaks = activity > SPEAKS
        self._choose(speaks, others)
        shifts = self._move_eyes()
        listens = self._mind is not None and self._mind != THOUGHT
        self._nod(listens and others[self._mind or 0] > SPEAKS, listens)
        self._spoke = speaks
        share = HEAD_GOES * (1.0 if self._at is not None else HEAD_STAYS)
        goal = self._goal[:2] * (share if self._mind is not None else 0.0)
        yaw, pitch = np.clip(goal, np.negative(HEAD_TURNS), HEAD_TURNS)
        return Gaze(
            toward=(float(self._eyes[0]), float(self._eyes[1])),
            held=float(self._eyes[2]),
            turn=(self._turn[0].step(float(yaw)), self._turn[1].step(float(pitch))),
            nod=next(self._nods, 0.0),
            smile=self._smile.step(SMILE if listens else 0.0),
            shifts=shifts,
        )

    def _choose(self, speaks: bool, others: Sequence[float]) -> None:
        """Settle what is on this person's mind, and when the eyes follow."""
        rng, mind = self._rng, self._mind
        loudest = int(np.argmax(others)) if len(others) else THOUGHT
        heard = loudest != THOUGHT and others[loudest] > SPEAKS
        self._quiet = 0.0 if speaks or heard else self._quiet + 1 / FPS
        if speaks:
            if mind is not None:
                self._mind, self._left = None, rng.uniform(0.04, 0.2)
        elif heard:
            attends = mind is not None and mind != THOUGHT and others[mind] > SPEAKS
            if not attends and mind != loudest:
                self._mind, self._left = loudest, rng.uniform(*NOTICES)
                self._spoke_there = False
        elif self._spoke:
            if rng.random() < THINKS:
                self._mind, self._left = THOUGHT, rng.uniform(0.15, 0.45)
        elif mind is not None and mind != THOUGHT and self._quiet > REMEMBERS:
            self._mind, self._left = None, rng.uniform(0.0, 0.5)

    def _move_eyes(self) -> bool:
        """Go on by a frame; whether the eyes set out for somewhere else in it."""
        rng = self._rng
        self._left -= 1 / FPS
        shifts = self._left <= 0
        if not shifts:
            self._eyes = self._goal.copy()
            return False
        if self._mind is None or self._at == self._mind:
            self._at = None
            self._goal = np.array([*self._goal[:2], 0.0])
            away = rng.gamma(2.0, 0.35) + 0.5 if self._mind != THOUGHT else rng.gamma(2.0, 1.5) + 1
            self._left = np.inf if self._mind is None else away
        else:
            self._at = self._mind
            thinks = self._mind == THOUGHT
            self._goal = np.array([*self._direction(self._mind), 1.0])
            self._left = rng.uniform(0.6, 1.4) if thinks else rng.gamma(2.0, 1.2) + 1.5
        start = self._eyes if self._eyes[2] else np.array([*self._goal[:2], 0.0])
        self._eyes = (start + self._goal) / 2
        return True

    def _direction(self, mind: int) -> Direction:
        if mind != THOUGHT:
            return self._others[mind]
        side = 1 if self._rng.random() < 0.5 else -1
        return side * self._rng.uniform(*THINKING_YAW), self._rng.uniform(*THINKING_PITCH)

    def _nod(self, spoken_to: bool, listens: bool) -> None:
        """Begin a nod where one is due: at the end of a phrase, or after some time of listening."""
        rng = self._rng
        ends = listens and self._spoke_there and not spoken_to
        self._spoke_there = spoken_to
        if ends and rng.random() < NODS_AT_PHRASE_END:
            self._to_nod = min(self._to_nod, rng.uniform(0.05, 0.35))
        elif spoken_to or self._to_nod < 0.4:
            self._to_nod -= 1 / FPS
        if self._to_nod <= 0:
            self._to_nod = self._seconds_to_nod()
            if listens:
                self._nods = _nodding(NOD_SIZE * rng.uniform(0.7, 1.3), int(rng.integers(1, 4)))

    def _seconds_to_nod(self) -> float:
        return float(self._rng.gamma(2.0, (SECONDS_TO_NOD - 2) / 2) + 2)


def _nodding(size: float, times: int) -> Iterator[float]:
    """How far the head is down, radians, frame by frame."""
    frames = round(NOD_SECONDS * FPS)
    for share in NODS[:times]:
        for frame in range(1, frames + 1):
            yield size * share * (1 - np.cos(2 * np.pi * frame / frames)) / 2
