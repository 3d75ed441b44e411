"""How often do the eyes blink? The gap of the lids, and the moments in which it falls."""

import numpy as np
from numpy.typing import NDArray

from multitalk.face.landmarks import FaceLandmarks

SHUT = 0.7  # of the eye's own usual opening; measured blinks fall lower, narrowed eyes do not
USUAL_SECONDS = 2.0  # the usual opening is the median over so long
MAX_BLINK_SECONDS = 0.5  # longer is looking down, or shutting the eyes
MIN_SECONDS = 5.0  # of a face that is seen; in less a rate means nothing


def eye_opening(face: FaceLandmarks) -> float:
    """Gap of the lids divided by the eye's width, mean of both eyes."""
    return sum(face.eye_openings) / 2


def blink_rate(openings: NDArray[np.float32], *, fps: float) -> float | None:
    """Blinks a minute.

    Args:
        openings: `eye_opening` of each frame [T], NaN where the face is not seen.
        fps: Frames a second.

    Returns:
        The rate over the time in which the face is seen; None where that is under 5 s.
    """
    seconds = float((~np.isnan(openings)).sum()) / fps
    if seconds < MIN_SECONDS:
        return None
    shut = np.zeros(len(openings) + 2, bool)
    shut[1:-1] = openings < SHUT * _usual(openings, round(USUAL_SECONDS * fps / 2))
    edges = np.diff(shut.astype(np.int8))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return float((lengths <= MAX_BLINK_SECONDS * fps).sum()) * 60 / seconds


def _usual(openings: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Median over the frames at most `reach` away: [T]; NaN where none of them is known."""
    medians = np.full(len(openings), np.nan, np.float32)
    for frame in range(len(openings)):
        near = openings[max(frame - reach, 0) : frame + reach + 1]
        near = near[~np.isnan(near)]
        if len(near):
            medians[frame] = np.median(near)
    return medians
