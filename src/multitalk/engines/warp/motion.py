"""What a head does besides speaking: it sways, nods with the voice, blinks, looks about, breathes.

Everything is a function of the seed and the frames so far, so that a talk is the same however it is
cut into chunks, and an hour of it needs no more memory than a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.base import FPS

# How far the lids are down in the frames of one blink: down in 2 frames, up in 4 (about 0.25 s).
BLINK = (0.45, 1.0, 1.0, 0.85, 0.60, 0.30)
SETTLE_SECONDS = 0.6  # the head starts exactly as photographed
BREATHS_PER_SECOND = 0.27
LIDS_FOLLOW = 4.0  # how far the lids go down for each eye width that the eyes look down


class Wander:
    """A smooth, aimless signal of standard deviation 1 around a given rate.

    A sum of sines at incommensurate rates with random phases: no state, no period to notice.
    """

    def __init__(self, rng: np.random.Generator, *, rate: float) -> None:
        self._rates = rate * np.array([0.31, 0.53, 0.79, 1.13]) * rng.uniform(0.9, 1.1, 4)
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._sizes = np.array([1.0, 1.0, 0.8, 0.5])
        self._sizes /= np.sqrt(np.sum(self._sizes**2) / 2)

    def at(self, seconds: float) -> float:
        """The signal at one time."""
        return float(self._sizes @ np.sin(2 * np.pi * self._rates * seconds + self._phases))


class Follower:
    """Follows a signal the way a mass on a damped spring does, frame by frame.

    Two one-pole filters in a row: the critically damped second-order response, in discrete time.
    """

    def __init__(self, seconds: float) -> None:
        self._keep = float(np.exp(-1 / (seconds * FPS)))
        self._first = self._second = 0.0

    def step(self, target: float) -> float:
        """Move one frame towards `target` and say where it is now."""
        self._first += (1 - self._keep) * (target - self._first)
        self._second += (1 - self._keep) * (self._first - self._second)
        return self._second


@dataclass(frozen=True)
class Gesture:
    """The head's state in one frame, in the units of `rig.MOTIONS`, and that of the eyes.

    Attributes:
        motion: yaw, pitch, roll (radians), shift_x (face widths), shift_y (face heights), swell,
            breathe (face heights): [7].
        brow: 0..1, raised brows.
        closed: Lids, 0 open .. 1 shut.
        look: Shift of the irises (right, down), in eye widths.
    """

    motion: NDArray[np.float64]
    brow: float
    closed: float
    look: tuple[float, float]


class Gestures:
    """The gestures of one person, a frame at a time."""

    def __init__(self, seed: int, person: int, *, liveliness: float = 1.0) -> None:
        self._liveliness = liveliness
        rng = np.random.default_rng([seed, person])
        self._slow, self._quick = (
            [Wander(rng, rate=rate) for _ in range(3)] for rate in (0.25, 0.75)
        )
        self._drift = [Wander(rng, rate=0.2) for _ in range(2)]
        self._brows = Wander(rng, rate=0.3)
        self._activity = Follower(0.32)
        self._voice = Follower(0.10)
        self._habit = Follower(1.0)  # what loudness the voice has lately had
        self._raised = Follower(0.14)
        self._lids = _blinks(rng)
        self._looks = _looks(rng)
        self._phase = rng.uniform(0, 2 * np.pi)
        self._frame = 0

    def step(self, *, activity: float, loudness: float) -> Gesture:
        """The next frame's gesture, given whether and how loudly the person speaks (0..1)."""
        t = self._frame / FPS
        speaking = self._activity.step(activity)
        voice = self._voice.step(loudness)
        stress = (voice - self._habit.step(voice)) * speaking
        yaw = (0.020 * self._slow[0].at(t) + 0.010 * self._quick[0].at(t)) * (0.5 + speaking / 2)
        pitch = 0.010 * self._slow[1].at(t) + 0.006 * self._quick[1].at(t) * speaking
        roll = 0.010 * self._slow[2].at(t) + 0.004 * self._quick[2].at(t) * speaking
        breath = np.sin(2 * np.pi * BREATHS_PER_SECOND * t + self._phase) - np.sin(self._phase)
        settled = min(1.0, t / SETTLE_SECONDS)
        settled = settled * settled * (3 - 2 * settled)
        lively = settled * self._liveliness
        motion = np.array(
            [
                lively * yaw,
                lively * (pitch + 0.045 * stress),
                lively * roll,
                lively * (0.009 * self._drift[0].at(t) + 0.04 * yaw),
                lively * (0.004 * self._drift[1].at(t) + 0.022 * stress),
                settled * 0.0015 * breath,
                settled * 0.004 * breath,
            ]
        )
        raised = 2.5 * max(stress, 0.0) + 0.12 * max(self._brows.at(t), 0.0) * speaking
        brow = lively * self._raised.step(min(raised, 0.6))
        look = next(self._looks)
        # The upper lids go down with the eyes.
        closed = max(next(self._lids), LIDS_FOLLOW * look[1])
        self._frame += 1
        return Gesture(motion, float(brow), closed, look)


def _blinks(rng: np.random.Generator) -> Iterator[float]:
    """How far the lids are down, frame by frame; a blink every 2 to 8 seconds or so."""
    wait = rng.uniform(0.8, 2.5)
    while True:
        for _ in range(round(wait * FPS)):
            yield 0.0
        yield from BLINK
        wait = rng.gamma(4.0, 1.0) + 0.6


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
