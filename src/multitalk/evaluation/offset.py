"""How far are picture and sound apart? In SyncNet's manner, on curves in place of embeddings.

Chung and Zisserman, "Out of time: automated lip sync in the wild" (2016): windows of 0.2 s of the
picture and of the sound are compared at each lag; the least distance is at the offset, and how far
it is below the median over the lags is the confidence. Theirs are distances of learned embeddings.
Ours are of the lips' opening and width, as seen and as the voice asks for them, each in its own
standard deviations: the values cannot be compared with published ones (LSE-D, LSE-C).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.evaluation.lipsync import OPENING, SPEECH_MARGIN_FRAMES, Mask, Mouth, widened
from multitalk.timebase import FPS

WINDOW_FRAMES = 5  # 0.2 s, as SyncNet's
MAX_OFFSET_FRAMES = 15  # 0.6 s, as SyncNet's
MIN_WINDOWS = FPS  # at each lag


@dataclass(frozen=True)
class AudioVisualOffset:
    """Where picture and sound fit best.

    Attributes:
        offset_frames: How many frames the lips are late; negative: early.
        confidence: Median over the lags of the distance, less the least of them; in standard
            deviations. Nothing fits anywhere: near 0.
        distance: The least distance.
    """

    offset_frames: int
    confidence: float
    distance: float


def find_offset(measured: Mouth, target: Mouth, speaking: Mask) -> AudioVisualOffset | None:
    """Find the lag, of up to 15 frames each way, at which a mouth is most like what is asked for.

    Args:
        measured: Opening and width [T, 2], NaN where unseen.
        target: Opening and width [T, 2] that the voice asks for.
        speaking: Frames [T] in which the voice is heard.

    Returns:
        The offset, or None where some lag has less than a second to compare.
    """
    near = widened(speaking, SPEECH_MARGIN_FRAMES)
    seen = near & ~np.isnan(measured[:, OPENING])
    if not seen.any():
        return None
    picture = _windows(_normalised(measured, seen))  # [T - 4, 10]
    sound = _windows(_normalised(target, near))
    starts = np.flatnonzero(near[: len(sound)])
    lags = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    distances = [_distance(picture, sound, starts, lag) for lag in lags]
    if np.isnan(distances).any():
        return None
    least = int(np.argmin(distances))
    return AudioVisualOffset(
        offset_frames=lags[least],
        confidence=float(np.median(distances) - distances[least]),
        distance=distances[least],
    )


def _normalised(curves: Mouth, where: Mask) -> NDArray[np.float64]:
    """Each curve [T, 2] less its mean, in its standard deviations; both of the frames `where`."""
    known = curves[where].astype(np.float64)
    deviation = known.std(axis=0)
    return np.asarray((curves - known.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1.0))


def _windows(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """All windows of `WINDOW_FRAMES` frames, by their first: [T - 4, 10]."""
    count = max(len(curves) - WINDOW_FRAMES + 1, 0)
    parts = [curves[first : first + count] for first in range(WINDOW_FRAMES)]
    return np.concatenate(parts, axis=1)


def _distance(
    picture: NDArray[np.float64],
    sound: NDArray[np.float64],
    starts: NDArray[np.int_],
    lag: int,
) -> float:
    """Median distance, per value, of the sound's windows to the picture's `lag` frames later."""
    inside = starts[(starts + lag >= 0) & (starts + lag < len(picture))]
    gaps = np.sqrt(((picture[inside + lag] - sound[inside]) ** 2).mean(axis=1))
    gaps = gaps[~np.isnan(gaps)]
    return float(np.median(gaps)) if len(gaps) >= MIN_WINDOWS else float("nan")
