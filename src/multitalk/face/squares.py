"""Turned squares of a picture, as a network sees them."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face import mesh

SHRUNK_FIRST = 1.5  # picture pixels for one of the cut, above which `warpAffine` would skip some


class Square(NamedTuple):
    """A part of a picture.

    Attributes:
        x: Its middle, in pixels.
        y: Likewise.
        side: In pixels.
        tilt: Radians by which it is turned clockwise.
    """

    x: float
    y: float
    side: float
    tilt: float = 0.0


class Cut(NamedTuple):
    """What is seen in a square.

    Attributes:
        pixels: RGB uint8 [N, N, 3]; beyond the picture's edge, the edge's colour.
        home: [2, 3], from its pixels to the picture's.
    """

    pixels: NDArray[np.uint8]
    home: NDArray[np.float64]

    def in_picture(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where points [..., 2] of the cut are in the picture."""
        return np.asarray(points @ self.home[:, :2].T + self.home[:, 2], np.float64)


def cut(image: NDArray[np.uint8], square: Square, size: int) -> Cut:
    """Cut a square out of a picture, as `size` x `size` pixels."""
    scale = square.side / size
    cos, sin = np.cos(square.tilt) * scale, np.sin(square.tilt) * scale
    middle = (size - 1) / 2
    home = np.array(
        [
            [cos, -sin, square.x - (cos - sin) * middle],
            [sin, cos, square.y - (sin + cos) * middle],
        ]
    )
    source, there = (image, home) if scale <= SHRUNK_FIRST else _shrunk(image, square, home, scale)
    pixels = cv2.warpAffine(
        source,
        there,
        (size, size),
        flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_LINEAR if scale > 1 else cv2.INTER_CUBIC),
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Cut(np.asarray(pixels, np.uint8), home)


def around(points: NDArray[np.floating], *, margin: float) -> Square:
    """The square around a face's points, turned as the face is.

    Args:
        points: [478, 2 or 3] in pixels.
        margin: Its side / the longer side of the points' own turned box.
    """
    flat = np.asarray(points[:, :2], np.float64)
    eyes = flat[[mesh.RIGHT_EYE_OUTER, mesh.LEFT_EYE_OUTER]].mean(0)
    mouth = flat[[mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER]].mean(0)
    tilt = tilt_of(eyes, mouth)
    cos, sin = np.cos(tilt), np.sin(tilt)
    level = flat @ np.array([[cos, -sin], [sin, cos]])
    low, high = level.min(0), level.max(0)
    x, y = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
    return Square(float(x), float(y), margin * float((high - low).max()), tilt)


def tilt_of(eyes: NDArray[np.floating], mouth: NDArray[np.floating]) -> float:
    """Radians clockwise by which a face is tilted whose eyes' and mouth's middles are given.

    The line between the eyes would not do: in a profile they are on top of each other.
    """
    across, down = (mouth - eyes).tolist()
    return float(np.arctan2(-across, down))


def _shrunk(
    image: NDArray[np.uint8], square: Square, home: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What is around a square, nearly as small as its cut, and where the cut is in it."""
    height, width = image.shape[:2]
    reach = 0.75 * square.side  # more than half of its diagonal
    left, right = np.clip((square.x - reach, square.x + reach + 1), 0, width).astype(int).tolist()
    top, bottom = np.clip((square.y - reach, square.y + reach + 1), 0, height).astype(int).tolist()
    # By a whole number, which OpenCV does many times faster than by another.
    step = int(np.ceil(scale / SHRUNK_FIRST))
    across, down = (right - left) // step, (bottom - top) // step
    if across < 1 or down < 1:
        return image, home
    part = image[top : top + down * step, left : left + across * step]
    small = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
    there = home / step
    there[:, 2] += (0.5 - np.array([left, top])) / step - 0.5
    return np.asarray(small, np.uint8), there
