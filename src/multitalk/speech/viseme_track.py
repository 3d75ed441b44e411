"""VisemeTrack: one person's mouth movement at 25 frames a second, and at other frame rates."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.coarticulation import PROBABILITY_RATE, mouth_curves, smooth
from multitalk.timebase import FPS

STEPS_PER_FRAME = PROBABILITY_RATE // FPS  # 2
# Inner-lip gap of a wide A in face heights (top of the forehead to chin), and of lips at rest: 0.
WIDEST_OPENING = 0.165
# Speaking is smoothed over this standard deviation, in seconds, and scaled so that a phrase's first
# sound already counts in full and a stray breath does not count at all.
ACTIVITY_SIGMA = 0.15
ACTIVITY_ONSET, ACTIVITY_FULL = 0.1, 0.4
LOUDNESS_SIGMA = 0.06  # seconds
LOUDNESS_RANGE = 35.0  # dB below the talk's loudness that count as 0
# Longest reach of any smoothing above or in `coarticulation`, in steps.
MOVEMENT_CONTEXT = 32

# Too quick to be sampled: of the frames that become one, the largest is kept.
PULSES = frozenset({"closure", "labiodental"})
ROUNDING = 1e-6  # frames: a length that is whole but for the arithmetic


@dataclass(frozen=True)
class VisemeTrack:
    """A mouth's movement at 25 fps; frame i is the instant (i + 0.5) / 25 s. Each float32 [T].

    Attributes:
        opening: Inner-lip gap in face heights (landmarks 10 to 152): 0 at rest, 0.165 for a wide A.
        width: -1 rounded and narrow .. +1 spread.
        rounding: Protruded lips, 0..1.
        closure: Lips sealed for p, b or m, 0..1. The gap to draw is `opening * (1 - closure)`.
        labiodental: Lower lip at the upper teeth for f or v, 0..1.
        teeth: Teeth together and visible, as for s or i, 0..1.
        tongue: Tongue tip at the teeth, as for th, l, n, 0..1.
        activity: This person is speaking, 0..1; where it is 0, so is everything else.
        loudness: Of the voice against the talk's loud parts, 0..1.
    """

    opening: Array
    width: Array
    rounding: Array
    closure: Array
    labiodental: Array
    teeth: Array
    tongue: Array
    activity: Array
    loudness: Array

    def __len__(self) -> int:
        return len(self.opening)

    def __getitem__(self, frames: slice) -> "VisemeTrack":
        """The track of a range of frames."""
        return VisemeTrack(*(getattr(self, field.name)[frames] for field in fields(self)))

    @staticmethod
    def silent(num_frames: int) -> "VisemeTrack":
        """A closed mouth that does not move."""
        return VisemeTrack(*np.zeros((len(fields(VisemeTrack)), num_frames), np.float32))

    @staticmethod
    def concatenate(tracks: Sequence["VisemeTrack"]) -> "VisemeTrack":
        """Tracks one after another; none gives a track without frames."""
        return VisemeTrack(
            *(
                np.concatenate([getattr(track, field.name) for track in [*tracks, _NO_FRAMES]])
                for field in fields(VisemeTrack)
            )
        )


_NO_FRAMES = VisemeTrack.silent(0)


def track_from_probabilities(
    probabilities: Array,
    log_energy: Array,
) -> VisemeTrack:
    """The track of class probabilities.

    Args:
        probabilities: Of the classes, float32 [2 T, NUM_VISEMES]; one-hot if the phones are known.
        log_energy: Natural logarithm of the energy against the talk's loudness, [2 T].

    Returns:
        A track of T frames.
    """
    curves = mouth_curves(probabilities)
    speaking = smooth(curves.speaking, ACTIVITY_SIGMA * PROBABILITY_RATE)
    activity = np.clip(
        (speaking - ACTIVITY_ONSET) / (ACTIVITY_FULL - ACTIVITY_ONSET), 0, 1, dtype=np.float32
    )
    decibels = 10 / np.log(10) * smooth(log_energy, LOUDNESS_SIGMA * PROBABILITY_RATE)
    loudness = np.clip(1 + decibels / LOUDNESS_RANGE, 0, 1)
    steps = slice(1, None, STEPS_PER_FRAME)  # step 2 i + 1 is the instant of frame i
    active = activity[steps]
    return VisemeTrack(
        opening=np.float32(WIDEST_OPENING) * curves.opening[steps] * active,
        width=curves.width[steps] * active,
        rounding=curves.rounding[steps] * active,
        closure=np.where(active > 0, curves.closure[steps], np.float32(0)),
        labiodental=curves.labiodental[steps] * active,
        teeth=curves.teeth[steps] * active,
        tongue=curves.tongue[steps] * active,
        activity=active,
        loudness=loudness[steps].astype(np.float32) * active,
    )


def resample_track(track: VisemeTrack, fps: float) -> VisemeTrack:
    """The same movement at `fps` frames a second; frame k is the instant (k + 0.5) / fps.

    Returns:
        A track of ceil(T fps / 25) frames; the same where `fps` is 25.
    """
    if fps == FPS or len(track) == 0:
        return track
    ratio = FPS / fps
    num_frames = max(1, int(np.ceil(len(track) / ratio - ROUNDING)))
    places = (np.arange(num_frames) + 0.5) * ratio - 0.5  # in frames of the track
    sampled = {
        field.name: _sampled(getattr(track, field.name), places) for field in fields(VisemeTrack)
    }
    if ratio > 1:
        for name in PULSES:
            sampled[name] = np.maximum(sampled[name], _largest(getattr(track, name), num_frames))
    return VisemeTrack(**sampled)


def _sampled(curve: Array, places: np.ndarray) -> Array:
    sampled: Array = np.interp(places, np.arange(len(curve)), curve).astype(np.float32)
    return sampled


def _largest(curve: Array, num_frames: int) -> Array:
    """The largest value among the frames of each longer one [num_frames]."""
    owner = np.minimum((np.arange(len(curve)) + 0.5) * num_frames / len(curve), num_frames - 1)
    largest = np.zeros(num_frames, np.float32)
    np.maximum.at(largest, owner.astype(int), curve)
    return largest
