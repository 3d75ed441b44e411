"""The folds beside a smiling mouth, which grow faint as the smile goes.

A fold is a shadow, so moving it with the skin is not enough: a mouth that says "oo" between the
folds of a laugh looks like a mask. The shadow is narrow, its core a dark line; what is narrower
still (pores, hairs) and what is wider (the cheek's own shading) stays as it is.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.head import HeadFrame
from multitalk.engines.warp.interpolation import smoothstep
from multitalk.engines.warp.mouth_parts import blurred
from multitalk.engines.warp.shapes import smile_of
from multitalk.face import mesh

# From the nose's wing down past the mouth's corner, on the person's right and left.
FOLDS = ((129, 203, 206, 216, 212, 202), (358, 423, 426, 436, 432, 422))
REACH = 0.075  # face widths on each side of that line in which the fold lies
FINEST, BROADEST = 0.004, 0.075  # sizes of such shadows, in face widths
SMOOTH = 0.020  # how softly what is filled in begins, in face widths
LEVELS = 16  # of faintness that are told apart
MOST_LIGHT = 2.2  # by which a shadow is lit at most


class SmileCreases:
    """The folds of one face, painted into its enlarged source only when they change.

    Args:
        source: uint8 [H, W, C], the picture to be painted.
        points: Landmarks, [478, 3] pixels of the picture.
        frame: The head's sizes.
        corner: Picture place (x, y) of the source's first pixel.
        scale: Source pixels for one of the picture.
    """

    def __init__(
        self,
        source: NDArray[np.uint8],
        points: NDArray[np.float64],
        frame: HeadFrame,
        corner: tuple[int, int],
        scale: int,
    ) -> None:
        self._source = source
        self._painted = 0
        self._patches = []
        smile = smile_of(frame)
        if smile == 0:
            return
        places = (points[:, :2] - corner) * scale + (scale - 1) / 2
        size = frame.width * scale
        for fold in FOLDS:
            line = places[list(fold)]
            limit = np.array(source.shape[1::-1])
            low = np.maximum((line.min(0) - REACH * size).astype(int), 0)
            high = np.minimum((line.max(0) + REACH * size).astype(int), limit)
            if (high - low < 3).any():
                continue
            rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
            base = source[rows, columns].copy()
            near = _near(line - low, places - low, base.shape[:2], REACH * size)
            light = _light_without_shadows(base[..., :3], size)
            extra = np.zeros(base.shape, np.float32)
            strength = min(1.0, 2 * smile)  # half a smile has whole folds
            extra[..., :3] = strength * near[..., None] * (light - 1)
            self._patches.append((rows, columns, base, extra))

    def set(self, faintness: float) -> None:
        """Bring the source's folds to a state: 0 as in the photograph, 1 as good as gone."""
        level = round(faintness * LEVELS)
        if level == self._painted:
            return
        self._painted = level
        for rows, columns, base, extra in self._patches:
            light = 1 + extra * np.float32(level / LEVELS)
            self._source[rows, columns] = cv2.multiply(base, light, dtype=cv2.CV_8U)


def _near(
    line: NDArray[np.float64],
    places: NDArray[np.float64],
    size: tuple[int, int],
    reach: float,
) -> Array:
    """1 on a fold, 0 from `reach` on and on the lips and the nose: [h, w]."""
    away = np.ones(size, np.uint8)
    cv2.polylines(away, [np.round(line).astype(np.int32)], False, 0, 1)
    near = 1 - smoothstep(_distance(away), 0.35 * reach, reach)
    kept = np.ones(size, np.uint8)
    lips = [*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER[::-1]]
    cv2.fillPoly(kept, [np.round(places[lips]).astype(np.int32)], 0)
    nose = cv2.convexHull(np.round(places[[129, 98, 2, 327, 358, 4]]).astype(np.int32))
    cv2.fillPoly(kept, [nose], 0)
    # The lips themselves keep their own shade.
    room = smoothstep(_distance(kept), 0.05 * reach, 0.35 * reach)
    return (near * room).astype(np.float32)


def _distance(away: NDArray[np.uint8]) -> Array:
    """Pixels to the nearest 0: [h, w]."""
    return cv2.distanceTransform(away, cv2.DIST_L2, 5).astype(np.float32, copy=False)


def _light_without_shadows(skin: NDArray[np.uint8], size: float) -> Array:
    """By what to multiply each pixel for its narrow, soft shadows to vanish: [h, w, 3], 1 or more.

    Each colour by itself: skin in shade is redder, too.
    """
    smooth = blurred(skin.astype(np.float32), FINEST * size)
    across = int(BROADEST * size) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    closed = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, disc).astype(np.float32, copy=False)
    filled = blurred(closed, SMOOTH * size)
    return np.clip(filled / np.maximum(smooth, 8), 1, MOST_LIGHT).astype(np.float32)
