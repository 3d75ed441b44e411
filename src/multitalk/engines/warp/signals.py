"""Smooth signals of which gestures are made."""

import numpy as np

from multitalk.timebase import FPS


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
