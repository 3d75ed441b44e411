"""Poses: from a voice's visemes, gestures, gaze, prosody and mood to the pose of each frame."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.expressions import PARTED, smile_strength
from multitalk.engines.warp.gaze import Direction, Gaze, GazeModel
from multitalk.engines.warp.gestures import Gesture, Gestures, levelling
from multitalk.engines.warp.head_motion import MOTIONS
from multitalk.engines.warp.prompt_cues import NEUTRAL_TIMELINE, Mood, MoodTimeline
from multitalk.engines.warp.renderer import Pose
from multitalk.engines.warp.rig import INDEX, WEIGHTS, Rig
from multitalk.engines.warp.smoothing import LowPass, ramp
from multitalk.engines.warp.voice_cues import Cue, VoiceCues, cues_of
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.timebase import FPS

# Lips. Weights without a unit are of the expression of that name; set by eye on rendered talks.
# Landmarks that are detected again in a bell's middle read less than its gap.
OPENED = 1.10  # of the track's opening
TUCKED_CLOSES = 0.6  # share of the opening that f and v take away
TUCKED_OPENING = 0.010  # face heights: f and v show the upper teeth a little
FREED_OPENING = 0.015  # face heights from which lips no longer press on each other
BREATH_OPENING = 0.018  # face heights by which lips part for a breath before the voice
PRESSED_TOGETHER = 0.18  # `seal` beyond 1 in p, b and m
CLOSED_PRESS = 0.45  # `press` in p, b and m
RESTING_PRESS = 0.15  # `press` at rest, for lips that the photograph shows parted
WIDEST_OPEN = 1.3  # `open` at most
WIDENED = 2.5  # `spread` per width: between its neighbours a clear i reaches 0.4 only
ROUNDED, ROUNDED_BY_NARROW, ROUNDED_CLOSED = 0.84, 0.72, 0.5  # `round`; less in p, b and m
FUNNELLED = 1.3  # `funnel` per `round` and `open`
# Lips that part a little still touch at the sides: `funnel` per `open`, and the openings (face
# heights) over which that fades. On films half the gap is left at .5 of the way to the corners.
NARROW_FUNNELS, NARROW_FADES = 0.35, (0.03, 0.07)
LIFT_OPEN, LIFT_SPREAD, LIFT_TEETH = 0.05, 0.5, 0.30  # `lift`
LIFT_OF_GAP = 0.6  # share of the opening that `lift` makes at most: the rest is `open`
PROFILE_CALMS = 0.5  # share of the mouth's movement that is lost in profile

# Head and face.
TURNED, TURNED_CALMS = (15, 45), 0.6  # degrees of yaw over which a head moves this share less:
# its movements would show its far side, which is not in the photograph
# What prosody adds to brow, smile and frown: of a lively and of a grave voice.
LIVELY_BROW, LIVELY_SMILE, GRAVE_FROWN = 0.32, 0.25, 0.22
# `brow` between which brows move freely, and what they never reach: on films the highest twentieth
# is above .73, the lowest one below -.28.
FREE_BROW, LOWEST_BROW, HIGHEST_BROW = (-0.15, 0.55), -0.50, 0.88
MOST_FROWN = 1.1  # `frown` at most
WIDEST_EYES, NARROWEST_EYES = -0.7, 1.2  # `squint`: beyond, irises are oval
# How far brows sink with shut lids (`brow`), and the share of raised ones that they lose.
BLINK_BROW, BLINK_LOWERS = 0.06, 0.25
SMILED_ALREADY = 0.6  # share of `smile` that is not added to a photograph's broad smile
RELAXED_BY_MOOD = 1 / 0.40  # `relax` by lowered corners: a sad mood leaves nothing of a smile
# A glad mood keeps a photograph's smile: share of `relax` that is taken back, and how far lips part
# at rest that the photograph shows parted in a smile, share of that gap and face heights at most.
SMILE_RETURNS, SMILE_PARTS, MOST_PARTED = 1.3, 0.8, 0.035
SMILE_SQUINTS = 0.8  # `squint` per `smile`: cheeks push the lower lids up
UNSMILED_SPREADS = 0.4  # `spread` by lowered corners, which are not drawn in
LIFT_SMILE = 0.25  # `lift` per `smile`: a smile shows the upper teeth

# Prosody.
SPEAKS = 0.9  # activity from which a frame is well within a phrase
SMOOTHING_SECONDS = 0.3  # time constant
LOUDER = 0.10  # unit of `VisemeTrack.loudness`: 3.5 dB
MELODIC = 1.5  # unit of the mean distance from the usual pitch, semitones
MAX_PITCH_DISTANCE = 9.0  # semitones; more is another voice or an octave error
MEMORY_SECONDS = 30.0  # of speech, over which the usual is averaged
KNOWN_AFTER = (1.0, 3.0)  # seconds of speech over which the usual becomes known


def open_weight(rig: Rig, opening: float, *, rounded: float = 0.0, lifted: float = 0.0) -> float:
    """Weight of `open` that parts sealed lips by an opening at the middle.

    Args:
        rig: The head's.
        opening: Of the lips, face heights.
        rounded: Weight of `round` in the same pose.
        lifted: Weight of `lift`.
    """
    gap = opening * rig.frame.height - lifted * rig.lift_gap
    overlap = rig.overlap + rounded * rig.round_overlap
    freed = min(opening / FREED_OPENING, 1.0) * overlap
    return min((gap + freed) / rig.open_gap, WIDEST_OPEN)


def _smiling_opening(rig: Rig) -> float:
    """How far lips part in a smile at rest, face heights: 0 if the photograph's do not."""
    gap = rig.layout.parted * rig.frame.mouth_width / rig.frame.height
    if rig.layout.parted < PARTED:
        return 0.0
    return min(smile_strength(rig.frame) * SMILE_PARTS * gap, MOST_PARTED)


class _MouthShape(NamedTuple):
    """How lips are shaped in one frame, 0..1 each; `biting` as in `Pose`."""

    spread: float
    rounding: float
    biting: float


class PoseAnimator:
    """Animates one person, a stretch of frames at a time."""

    def __init__(
        self,
        rig: Rig,
        *,
        seed: int,
        person: int,
        moods: MoodTimeline = NEUTRAL_TIMELINE,
        num_frames: int = 1,
        motion: float = 1.0,
        others: Sequence[Direction] = (),
    ) -> None:
        """Seed one person's animation.

        Args:
            rig: The head's.
            seed: Of the random generator.
            person: Index in the scene.
            moods: Of the talk.
            num_frames: Of the talk.
            motion: Scale of all movement but lips, lids and breath; 1 as filmed speakers.
            others: From `gaze.directions_to_others`.
        """
        self._rig = rig
        self._moods = moods
        self._num_frames = num_frames
        self._frame = 0
        self._parted = rig.layout.parted > PARTED
        self._smiling_opening = _smiling_opening(rig)
        self._calm = 0.0 if rig.mouth_covered else 1 - PROFILE_CALMS * rig.frame.in_profile
        lively = motion * (1 - TURNED_CALMS * ramp(abs(rig.frame.yaw_degrees), *TURNED))
        self._gaze = GazeModel(seed, person, others)
        self._prosody = Prosody()
        self._moved = min(motion, 1.0)
        raised = levelling(float(np.radians(rig.frame.pitch_degrees)))
        self._gestures = Gestures(seed, person, liveliness=lively, raised=raised)
        self._cues = VoiceCues()
        self._others_cues = tuple(VoiceCues() for _ in others)

    def poses(
        self,
        track: VisemeTrack,
        *,
        num_frames: int | None = None,
        pitch: NDArray[np.float32] | None = None,
        others: Sequence[VisemeTrack] = (),
    ) -> Iterator[Pose]:
        """Yield the pose of each frame of the next stretch.

        Args:
            track: Of this person's voice: of the T frames of the stretch, and of those after them
                that are known, of which `voice_cues.LOOK_AHEAD` are looked at.
            num_frames: T; None for all of the track.
            pitch: Of this voice, semitones [T], NaN where unvoiced; None if unknown.
            others: The other persons' tracks, in the order of their directions, likewise.
        """
        count = len(track) if num_frames is None else num_frames
        cues = cues_of(track, count, self._cues)
        others_cues = [
            cues_of(other, count, state)
            for other, state in zip(others, self._others_cues, strict=True)
        ]
        for frame in range(count):
            activity = float(track.activity[frame])
            gaze = self._gaze.step(
                activity,
                [float(other.activity[frame]) for other in others],
                cue=cues[frame],
                cues=[of_other[frame] for of_other in others_cues],
            )
            semitones = np.nan if pitch is None else float(pitch[frame])
            yield self._pose(track, frame, semitones, gaze, cues[frame])

    def _pose(self, track: VisemeTrack, frame: int, pitch: float, gaze: Gaze, cue: Cue) -> Pose:
        mood = self._moods.at(self._frame / self._num_frames)
        self._frame += 1
        activity, loudness = float(track.activity[frame]), float(track.loudness[frame])
        voice = self._moved * self._prosody.step(activity=activity, loudness=loudness, pitch=pitch)
        gesture = self._gestures.step(
            activity=activity,
            loudness=loudness,
            melody=self._prosody.melody,
            gaze=gaze,
            liveliness=mood.liveliness,
            cue=cue,
        )
        width = self._calm * float(track.width[frame])
        narrow = -ROUNDED_BY_NARROW * min(width, 0.0)
        rounding = max(self._calm * float(track.rounding[frame]), narrow)
        biting = float(track.teeth[frame]) * (1 - float(track.closure[frame]))
        shape = _MouthShape(max(width, 0.0), rounding, biting)
        weights = np.zeros(len(WEIGHTS), np.float32)
        resting = max(BREATH_OPENING * gesture.parted, self._smiling_opening * max(mood.smile, 0.0))
        self._set_lips(weights, track, frame, shape, mood=mood, resting=resting)
        self._set_face(weights, mood, gesture, gaze, voice)
        return Pose(
            weights,
            tongue=float(track.tongue[frame]),
            rounding=rounding,
            biting=biting,
            closed=max(gesture.closed, mood.lids),
            look=gesture.look,
            lids=gesture.lids,
        )

    def _set_lips(
        self,
        weights: Array,
        track: VisemeTrack,
        frame: int,
        shape: _MouthShape,
        *,
        mood: Mood,
        resting: float,
    ) -> None:
        """Set the weights of the lips; they rest closed, whatever the photograph shows.

        `resting` is how far they part for a breath or a smile, face heights.
        """
        closure = float(track.closure[frame])
        parted = 1 - closure
        tuck = 0.0 if self._rig.mouth_covered else float(track.labiodental[frame]) * parted
        spoken = OPENED * float(track.opening[frame]) * parted * (1 - TUCKED_CLOSES * tuck)
        drawn = max(mood.opening * spoken, TUCKED_OPENING * tuck, resting * parted)
        opening = self._calm * drawn
        rounded = ROUNDED * shape.rounding * (1 - ROUNDED_CLOSED * closure)
        pressed = RESTING_PRESS * (1 - min(opening / FREED_OPENING, 1.0))
        spread, biting = shape.spread, shape.biting
        of_teeth = LIFT_SPREAD * spread + LIFT_TEETH * biting + LIFT_SMILE * max(mood.smile, 0.0)
        shown = min(LIFT_OPEN * parted + of_teeth, 1.0)
        gap = opening * self._rig.frame.height
        lifted = min(shown, LIFT_OF_GAP * gap / max(self._rig.lift_gap, 1.0))
        opened = open_weight(self._rig, opening, rounded=rounded, lifted=lifted)
        weights[INDEX["seal"]] = 1.0 + PRESSED_TOGETHER * closure
        weights[INDEX["open"]] = opened
        weights[INDEX["spread"]] = WIDENED * spread
        weights[INDEX["round"]] = rounded
        narrow = NARROW_FUNNELS * (1 - ramp(opening, *NARROW_FADES))
        weights[INDEX["funnel"]] = min(max(FUNNELLED * rounded, narrow), 1.0) * opened
        weights[INDEX["press"]] = max(CLOSED_PRESS * closure, pressed if self._parted else 0.0)
        weights[INDEX["tuck"]] = tuck
        weights[INDEX["lift"]] = lifted

    def _set_face(
        self, weights: Array, mood: Mood, gesture: Gesture, gaze: Gaze, voice: float
    ) -> None:
        """Set the weights of brows, smile, frown and head, after those of the lips.

        `voice` is the prosody, -1..1.
        """
        brows = gesture.brows
        raised = brows.raised + self._moved * gaze.flash
        brow = _softly_limited(raised + mood.brow + LIVELY_BROW * voice)
        brow -= self._moved * gesture.closed * (BLINK_BROW + BLINK_LOWERS * max(brow, 0.0))
        weights[INDEX["brow"]] = brow
        smile = mood.smile
        if smile >= 0:
            smile = max(smile, self._moved * gaze.smile) + LIVELY_SMILE * max(voice, 0.0)
            smile += brows.smile * max(1 - float(weights[INDEX["round"]]), 0.0)
        smiled = smile_strength(self._rig.frame) if smile > 0 else 0.0
        weights[INDEX["spread"]] += UNSMILED_SPREADS * max(-smile, 0.0)
        weights[INDEX["smile"]] = smile * (1 - SMILED_ALREADY * smiled)
        unrounded = 1 - weights[INDEX["round"]]  # `round` relaxes a smile, too
        relaxed = min(RELAXED_BY_MOOD * max(-mood.smile, 0.0), 1.0)
        relaxed -= SMILE_RETURNS * max(mood.smile, 0.0)
        weights[INDEX["relax"]] = relaxed * max(unrounded, 0.0)
        frown = brows.frown + mood.frown + GRAVE_FROWN * max(-voice, 0.0)
        weights[INDEX["frown"]] = min(frown, MOST_FROWN)
        weights[INDEX["lean"]] = brows.lean
        smiling = SMILE_SQUINTS * max(float(weights[INDEX["smile"]]), 0.0)
        squint = brows.squint + mood.squint + smiling
        weights[INDEX["squint"]] = min(max(squint, WIDEST_EYES), NARROWEST_EYES)
        weights[-len(MOTIONS) :] = gesture.motion


def _softly_limited(brow: float) -> float:
    """A weight of `brow` within its limits, the same within `FREE_BROW`."""
    low, high = FREE_BROW
    up, down = HIGHEST_BROW - high, low - LOWEST_BROW
    free = min(max(brow, low), high)
    above, below = max(brow - high, 0.0), max(low - brow, 0.0)
    return free + up * float(np.tanh(above / up)) - down * float(np.tanh(below / down))


class Prosody:
    """Liveliness of one voice against its own average, one frame per step.

    No emotion recognition: louder and more melodic than usual is lively, softer and flatter is
    grave. Somebody who shouts all the time counts as even.

    Attributes:
        melody: How far the last voiced frame was above the usual pitch, semitones; 0 in silence and
            before that is known.
    """

    def __init__(self) -> None:
        self._loudness, self._pitch, self._range = (_RunningMean() for _ in range(3))
        self._spoken = 0.0  # seconds
        self._melody = 0.0  # of the last voiced frame, in units of MELODIC
        self.melody = 0.0
        self._lively = LowPass(SMOOTHING_SECONDS)

    def step(self, *, activity: float, loudness: float, pitch: float) -> float:
        """The next frame's liveliness: -1 grave .. 1 lively, 0 as usual and in silence.

        Args:
            activity: Whether the person speaks, 0..1.
            loudness: Of the voice, 0..1.
            pitch: Semitones; NaN where unvoiced.
        """
        if activity <= SPEAKS:
            self.melody = 0.0
            return self._lively.step(0.0)
        self._spoken += 1 / FPS
        known = ramp(self._spoken, *KNOWN_AFTER)
        louder = (loudness - self._loudness.add(loudness)) / LOUDER
        if np.isfinite(pitch):
            above = float(pitch - self._pitch.add(pitch))
            distance = min(abs(above), MAX_PITCH_DISTANCE)
            self._melody = (distance - self._range.add(distance)) / MELODIC
            self.melody = known * above if distance < MAX_PITCH_DISTANCE else 0.0
        return self._lively.step(float(known * np.clip((louder + self._melody) / 2, -1, 1)))


class _RunningMean:
    """Mean of the values so far, exponential beyond `MEMORY_SECONDS`."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0

    def add(self, value: float) -> float:
        """The mean with one more value."""
        self._count = min(self._count + 1, round(MEMORY_SECONDS * FPS))
        self._mean += (value - self._mean) / self._count
        return self._mean
