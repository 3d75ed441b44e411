"""Square crops and quarter turns of pictures, and where their points are afterwards."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face import mesh

MAX_WARP_SHRINK = 1.5  # picture pixels per crop pixel above which `warpAffine` would alias
SHRUNK_REACH = 0.75  # crop sides from its centre that are shrunk first; its half diagonal is 0.71


class Square(NamedTuple):
    """A rotated square region of a picture.

    Attributes:
        x: Centre, pixels.
        y: Centre, pixels.
        side: Pixels.
        tilt: Clockwise rotation, radians.
    """

    x: float
    y: float
    side: float
    tilt: float = 0.0


class Crop(NamedTuple):
    """The pixels of a square.

    Attributes:
        pixels: RGB uint8 [N, N, 3]; the picture's edge is replicated outside.
        to_picture: Affine map [2, 3] from crop pixels to picture pixels.
    """

    pixels: NDArray[np.uint8]
    to_picture: NDArray[np.float64]

    def in_picture(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points [..., 2] of the crop to the picture."""
        return np.asarray(points @ self.to_picture[:, :2].T + self.to_picture[:, 2], np.float64)


def crop(image: NDArray[np.uint8], square: Square, size: int) -> Crop:
    """Cut a square out of a picture, as `size` x `size` pixels."""
    scale = square.side / size
    cos, sin = np.cos(square.tilt) * scale, np.sin(square.tilt) * scale
    middle = (size - 1) / 2
    to_picture = np.array(
        [
            [cos, -sin, square.x - (cos - sin) * middle],
            [sin, cos, square.y - (sin + cos) * middle],
        ]
    )
    source, to_source = image, to_picture
    if scale > MAX_WARP_SHRINK:
        source, to_source = _shrunk(image, square, to_picture, scale)
    pixels = cv2.warpAffine(
        source,
        to_source,
        (size, size),
        flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_LINEAR if scale > 1 else cv2.INTER_CUBIC),
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Crop(np.asarray(pixels, np.uint8), to_picture)


def square_around(points: NDArray[np.floating], *, margin: float) -> Square:
    """The square around a face's landmarks, tilted like the face.

    Args:
        points: [478, 2 or 3], pixels.
        margin: Side / longer side of the landmarks' own tilted box.
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
    """Clockwise tilt, radians, of a face from the midpoints of its eyes and its mouth.

    The line between the eyes would not do: in a profile both eyes coincide.
    """
    across, down = (mouth - eyes).tolist()
    return float(np.arctan2(-across, down))


def rotate_picture(picture: NDArray[np.uint8], quarters: int) -> NDArray[np.uint8]:
    """A picture after clockwise quarter turns."""
    return np.ascontiguousarray(np.rot90(picture, -quarters))


def rotate_points(
    points: NDArray[np.floating], quarters: int, shape: Sequence[int]
) -> NDArray[np.floating]:
    """Points after clockwise quarter turns of their picture.

    Args:
        points: [N, 2], (x, y) pixels.
        quarters: Any whole number; negative is counterclockwise.
        shape: (height, width, ...) of the picture before the rotation.
    """
    height, width = shape[:2]
    x, y = points.T
    rotated = ((x, y), (height - y, x), (width - x, height - y), (y, width - x))[quarters % 4]
    return np.stack(rotated, 1)


def rotate_box(box: Box, quarters: int, shape: Sequence[int]) -> Box:
    """A box after clockwise quarter turns of its picture; see `rotate_points`."""
    corners = rotate_points(np.array(box).reshape(2, 2), quarters, shape)
    x_min, y_min = corners.min(0).tolist()
    x_max, y_max = corners.max(0).tolist()
    return x_min, y_min, x_max, y_max


def _shrunk(
    image: NDArray[np.uint8], square: Square, to_picture: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The surroundings of a square, area-averaged, and the map from the crop to them."""
    height, width = image.shape[:2]
    reach = SHRUNK_REACH * square.side
    left, right = np.clip((square.x - reach, square.x + reach + 1), 0, width).astype(int).tolist()
    top, bottom = np.clip((square.y - reach, square.y + reach + 1), 0, height).astype(int).tolist()
    # OpenCV's INTER_AREA is many times faster for a whole factor.
    step = int(np.ceil(scale / MAX_WARP_SHRINK))
    across, down = (right - left) // step, (bottom - top) // step
    if across < 1 or down < 1:
        return image, to_picture
    part = image[top : top + down * step, left : left + across * step]
    small = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
    to_small = to_picture / step
    to_small[:, 2] += (0.5 - np.array([left, top])) / step - 0.5
    return np.asarray(small, np.uint8), to_small
