"""From a voice's mouth shapes and a head's gestures to the poses of its renderer."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.expressions import PARTED, smile_strength
from multitalk.engines.warp.gaze import Direction, GazeModel
from multitalk.engines.warp.gestures import Gestures
from multitalk.engines.warp.head_motion import MOTIONS
from multitalk.engines.warp.prompt_cues import NEUTRAL_TIMELINE, MoodTimeline
from multitalk.engines.warp.renderer import Pose
from multitalk.engines.warp.rig import INDEX, WEIGHTS, Rig
from multitalk.engines.warp.smoothing import LowPass, ramp
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.timebase import FPS

TUCKED_CLOSES = 0.6  # share of the opening that f and v take away
TUCKED_OPENING = 0.010  # face heights: for f and v the upper teeth show a little
FREED_OPENING = 0.015  # face heights from which lips no longer press on each other
PRESSED_TOGETHER = 0.18  # of `seal`: by how much firmer p, b and m close an open photograph
RESTING_PRESS = 0.45  # of `press`, for lips that the photograph shows parted
WIDEST_OPEN = 1.3  # of the rig's `open`, however loud the shout
# What a voice that is livelier than usual adds to brow and smile, and a graver one to frown.
LIVELY_BROW, LIVELY_SMILE, GRAVE_FROWN = 0.32, 0.15, 0.22
HIGHEST_BROW = 0.9  # of `brow`, however much raises it: beyond, the lid's skin is drawn out
TURNED = (15, 45)  # degrees of a photograph's turn over which its head comes to move less
TURNED_CALMS = 0.6  # by so much: what it would show of its far side is not in the photograph
WIDENED = 1.4  # of `spread`, which a clear i reaches by 0.4 only among its neighbours
CALMED = 0.5  # of its movement: how much less the mouth of a head in profile does
SMILED_ALREADY = 0.6  # of a `smile` that is not added to a photograph's broad one


def open_weight(rig: Rig, opening: float, *, rounded: float = 0.0) -> float:
    """Weight of `open` that parts sealed lips by `opening` face heights at the middle.

    Args:
        rig: The head's.
        opening: Of the lips, face heights.
        rounded: Weight of `round` in the same pose.
    """
    gap = opening * rig.frame.height
    overlap = rig.overlap + rounded * rig.round_overlap
    freed = min(opening / FREED_OPENING, 1.0) * overlap
    return min((gap + freed) / rig.open_gap, WIDEST_OPEN)


class PoseAnimator:
    """Plays one person's part, a stretch of frames at a time."""

    def __init__(
        self,
        rig: Rig,
        *,
        seed: int,
        person: int,
        course: MoodTimeline = NEUTRAL_TIMELINE,
        num_frames: int = 1,
        motion: float = 1.0,
        others: Sequence[Direction] = (),
    ) -> None:
        """Play one part.

        Args:
            rig: The head's.
            seed: Of all that chance decides.
            person: Who of the scene it is.
            course: The moods of the talk.
            num_frames: The talk's length.
            motion: How lively: 1 as filmed speakers are.
            others: Where the others are, from `gaze.directions_to_others`.
        """
        self._rig = rig
        self._course = course
        self._num_frames = num_frames
        self._frame = 0
        self._parted = rig.layout.parted > PARTED
        self._calm = 1 - CALMED * rig.frame.in_profile
        lively = motion * (1 - TURNED_CALMS * ramp(abs(rig.frame.yaw_degrees), *TURNED))
        self._attending = GazeModel(seed, person, others)
        self._prosody = Prosody()
        self._moved = min(motion, 1.0)
        self._gestures = Gestures(seed, person, liveliness=lively)

    def poses(
        self,
        track: VisemeTrack,
        *,
        pitch: NDArray[np.float32] | None = None,
        others: Sequence[VisemeTrack] = (),
    ) -> Iterator[Pose]:
        """Yield the pose of each frame of the next stretch.

        Args:
            track: Of this person's voice, T frames.
            pitch: Of this voice, semitones [T], NaN where there is none, as all are without it.
            others: The tracks of the others, in the order of their directions.
        """
        for frame in range(len(track)):
            heard = [float(other.activity[frame]) for other in others]
            high = np.nan if pitch is None else float(pitch[frame])
            yield self._pose(track, frame, high, heard)

    def _pose(self, track: VisemeTrack, frame: int, pitch: float, heard: Sequence[float]) -> Pose:
        mood = self._course.at(self._frame / self._num_frames)
        self._frame += 1
        closure = float(track.closure[frame])
        parted = 1 - closure
        tuck = float(track.labiodental[frame]) * parted
        spoken = float(track.opening[frame]) * parted * (1 - TUCKED_CLOSES * tuck)
        opening = mood.opening * self._calm * max(spoken, TUCKED_OPENING * tuck)
        width = self._calm * float(track.width[frame])
        spread = max(width, 0.0)
        rounding = max(self._calm * float(track.rounding[frame]), -0.8 * min(width, 0.0))
        activity = float(track.activity[frame])
        gaze = self._attending.step(activity, heard)
        loudness = float(track.loudness[frame])
        voice = self._moved * self._prosody.step(activity=activity, loudness=loudness, pitch=pitch)
        gesture = self._gestures.step(
            activity=activity,
            loudness=loudness,
            gaze=gaze,
            liveliness=mood.liveliness,
        )
        weights = np.zeros(len(WEIGHTS), np.float32)
        # InnerLips rest closed, whatever the photograph's do.
        weights[INDEX["seal"]] = 1.0 + PRESSED_TOGETHER * closure
        rounded = 0.9 * rounding * (1 - 0.5 * closure)
        opened = open_weight(self._rig, opening, rounded=rounded)
        weights[INDEX["open"]] = opened
        weights[INDEX["spread"]] = WIDENED * spread
        weights[INDEX["round"]] = rounded
        resting = RESTING_PRESS * (1 - min(opening / FREED_OPENING, 1.0))
        weights[INDEX["press"]] = max(0.7 * closure, resting if self._parted else 0.0)
        weights[INDEX["tuck"]] = tuck
        biting = float(track.teeth[frame]) * parted
        shown = min(0.3 * parted + 0.4 * spread + 0.5 * biting, 1.0)
        weights[INDEX["lift"]] = shown * min(6 * opened, 1.0)
        weights[INDEX["brow"]] = min(gesture.brow + mood.brow + LIVELY_BROW * voice, HIGHEST_BROW)
        smile = mood.smile
        if smile >= 0:
            smile = max(smile, self._moved * gaze.smile) + LIVELY_SMILE * max(voice, 0.0)
        smiled = smile_strength(self._rig.frame) if smile > 0 else 0.0
        weights[INDEX["smile"]] = smile * (1 - SMILED_ALREADY * smiled)
        weights[INDEX["frown"]] = mood.frown + GRAVE_FROWN * max(-voice, 0.0)
        weights[-len(MOTIONS) :] = gesture.motion
        return Pose(
            weights,
            tongue=float(track.tongue[frame]),
            rounding=rounding,
            biting=biting,
            closed=max(gesture.closed, mood.lids),
            look=gesture.look,
        )


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
        self._lively = LowPass(SMOOTHING)

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
