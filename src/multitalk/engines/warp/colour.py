"""Colours of the photograph: luma, the skin around the mouth, the red of the lips."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.face import mesh

LUMA = np.array([0.30, 0.59, 0.11], np.float32)  # weights of R, G, B: ITU-R BT.601, rounded
SKIN_MARGIN = 0.2  # mouth widths around the mouth
SKIN_PERCENTILE = 70  # lit skin, without highlights
LIP_PERCENTILE = 35  # the red without its shine


def skin_colour(
    picture: NDArray[np.uint8], points: NDArray[np.float64], mouth_width: float
) -> Array:
    """Lit skin around the mouth, RGB 0..255: a percentile of each channel."""
    around = points[
        [
            mesh.RIGHT_MOUTH_CORNER,
            mesh.LEFT_MOUTH_CORNER,
            mesh.OUTER_UPPER_LIP,
            mesh.OUTER_LOWER_LIP,
        ],
        :2,
    ]
    low = np.maximum((around.min(0) - SKIN_MARGIN * mouth_width).astype(int), 0)
    high = (around.max(0) + SKIN_MARGIN * mouth_width).astype(int)
    pixels = picture[low[1] : high[1], low[0] : high[0]].reshape(-1, 3)
    return np.percentile(pixels, SKIN_PERCENTILE, axis=0).astype(np.float32)


def lip_colour(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> Array:
    """The red of the lower lip without its shine, RGB 0..255."""
    limit = np.array(picture.shape[1::-1]) - 1
    red = [*mesh.LOWER_LIP_RED_INNER[2:-2], *mesh.LOWER_LIP_RED_OUTER[2:-2]]
    x, y = np.clip(points[red, :2].round().astype(int), 0, limit).T
    return np.percentile(picture[y, x], LIP_PERCENTILE, axis=0).astype(np.float32)


def three_channels(cover: Array) -> Array:
    """Cover [h, w] repeated for three channels, [h, w, 3]: faster than numpy's broadcasting."""
    return cv2.merge((cover, cover, cover)).astype(np.float32, copy=False)
