"""From a voice's mouth shapes and a head's gestures to the poses of its puppet."""

from collections.abc import Iterator

import numpy as np

from multitalk.engines.warp.motion import Gestures
from multitalk.engines.warp.puppet import Pose
from multitalk.engines.warp.rig import MOTIONS, WEIGHTS, Rig
from multitalk.speech.track import VisemeTrack

WIDEST_OPEN = 1.1  # of the rig's `open`, however loud the shout
INDEX = {name: place for place, name in enumerate(WEIGHTS)}


class Actor:
    """Plays one person's part, a stretch of frames at a time."""

    def __init__(self, rig: Rig, *, seed: int, person: int) -> None:
        # Weight of `open` that parts the lips by one face height.
        self._open_per_height = rig.frame.height / rig.layout.max_gap
        self._gestures = Gestures(seed, person)

    def perform(self, track: VisemeTrack) -> Iterator[Pose]:
        """Yield the pose of each frame of the next stretch."""
        for frame in range(len(track)):
            yield self._pose(track, frame)

    def _pose(self, track: VisemeTrack, frame: int) -> Pose:
        closure = float(track.closure[frame])
        parted = 1 - closure
        opening = float(track.opening[frame]) * parted
        spread = max(float(track.width[frame]), 0.0)
        rounding = max(float(track.rounding[frame]), -0.8 * min(float(track.width[frame]), 0.0))
        gesture = self._gestures.step(
            activity=float(track.activity[frame]), loudness=float(track.loudness[frame])
        )
        weights = np.zeros(len(WEIGHTS), np.float32)
        weights[INDEX["seal"]] = 1.0  # lips rest closed, whatever the photograph's do
        opened = min(opening * self._open_per_height, WIDEST_OPEN)
        weights[INDEX["open"]] = opened
        weights[INDEX["spread"]] = 0.8 * spread
        weights[INDEX["round"]] = 0.85 * rounding * (1 - 0.5 * closure)
        weights[INDEX["press"]] = 0.9 * closure
        weights[INDEX["tuck"]] = float(track.labiodental[frame]) * parted
        shown = (0.5 * spread + 0.5 * float(track.teeth[frame])) * parted
        weights[INDEX["lift"]] = shown * min(6 * opened, 1.0)
        weights[INDEX["brow"]] = gesture.brow
        weights[-len(MOTIONS) :] = gesture.motion
        return Pose(
            weights,
            tongue=float(track.tongue[frame]),
            rounding=rounding,
            closed=gesture.closed,
            look=gesture.look,
        )
