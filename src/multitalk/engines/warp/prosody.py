"""How lively a voice is at the moment, against how it is in the talk so far.

No recognition of feelings: louder and with more melody than usual is lively, softer and more level
is grave. Somebody who shouts all the time counts as even.
"""

import numpy as np

from multitalk.engines.warp.signals import Follower
from multitalk.timebase import FPS

SPEAKS = 0.9  # activity from which on somebody is well within a phrase
SMOOTHING = 0.3  # seconds of a follower: some second in all
LOUDER = 0.10  # of `VisemeTrack.loudness`: 3.5 dB
MELODIC = 1.5  # semitones of mean distance from the usual pitch
FARTHEST = 9.0  # semitones: more is another voice, or an octave mistaken
REMEMBERED = 30.0  # seconds of speech of which the usual is the mean
KNOWN_AFTER = (1.0, 3.0)  # seconds of speech from which on and up to which the usual is known


class Prosody:
    """The liveliness of one voice, a frame at a time."""

    def __init__(self) -> None:
        self._loudness, self._pitch, self._range = _Usual(), _Usual(), _Usual()
        self._spoken = 0.0  # seconds
        self._melody = 0.0  # in the last frame with a pitch: against the usual, in semitones
        self._lively = Follower(SMOOTHING)

    def step(self, *, activity: float, loudness: float, pitch: float) -> float:
        """The next frame's liveliness: -1 grave .. 1 lively, 0 as usual and where nobody speaks.

        Args:
            activity: Whether the person speaks, 0..1.
            loudness: How loudly, 0..1.
            pitch: Semitones; NaN where there is none.
        """
        if activity <= SPEAKS:
            return self._lively.step(0.0)
        self._spoken += 1 / FPS
        louder = (loudness - self._loudness.of(loudness)) / LOUDER
        if np.isfinite(pitch):
            away = min(abs(pitch - self._pitch.of(pitch)), FARTHEST)
            self._melody = (away - self._range.of(away)) / MELODIC
        start, end = KNOWN_AFTER
        known = np.clip((self._spoken - start) / (end - start), 0, 1)
        return self._lively.step(float(known * np.clip((louder + self._melody) / 2, -1, 1)))


class _Usual:
    """The mean of what there was, in which the last half minute counts most."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0

    def of(self, value: float) -> float:
        """The mean, this value included."""
        self._count = min(self._count + 1, round(REMEMBERED * FPS))
        self._mean += (value - self._mean) / self._count
        return self._mean
