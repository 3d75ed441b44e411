"""A track at another frame rate than that of our videos."""

from dataclasses import fields

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.track import VisemeTrack
from multitalk.timebase import FPS

# Too quick to be sampled: of the frames that become one, the largest is kept.
PULSES = frozenset({"closure", "labiodental"})
ROUNDING = 1e-6  # frames: a length that is whole but for the arithmetic


def at_rate(track: VisemeTrack, fps: float) -> VisemeTrack:
    """The same movement at `fps` frames a second; frame k is the instant (k + 0.5) / fps.

    Args:
        track: Of T frames at 25 a second.
        fps: Above 0.

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
    """Of the frames of each longer one [num_frames]."""
    owner = np.minimum((np.arange(len(curve)) + 0.5) * num_frames / len(curve), num_frames - 1)
    largest = np.zeros(num_frames, np.float32)
    np.maximum.at(largest, owner.astype(int), curve)
    return largest
