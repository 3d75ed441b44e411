"""How often do the eyes blink? The gap of the lids, and the moments in which it falls."""

import numpy as np
from numpy.typing import NDArray

from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

SHUT = 0.7  # of the eye's own usual opening; measured blinks fall lower, narrowed eyes do not
USUAL_SECONDS = 2.0  # the usual opening is the median over so long
MAX_BLINK_SECONDS = 0.5  # longer is looking down, or shutting the eyes
MIN_SECONDS = 5.0  # of a face that is seen; in less a rate means nothing

_EYES = (
    (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER),
    (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
)


def eye_opening(face: FaceLandmarks) -> float:
    """Gap of the lids divided by the eye's width, mean of both eyes.

    The eye aspect ratio of Soukupova and Cech (2016), of three pairs of points on each eye, in 3-D.
    """
    ratios = []
    for upper, lower in _EYES:
        lids = face.points[list(upper)], face.points[list(lower)]  # [9, 3] each
        gaps = np.linalg.norm(lids[0][3:6] - lids[1][3:6], axis=1)
        ratios.append(gaps.mean() / max(float(np.linalg.norm(lids[0][0] - lids[0][-1])), 1e-6))
    return float(np.mean(ratios))


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
