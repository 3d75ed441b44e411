"""Quarter turns of pictures, and of what is in them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box


def turned_picture(picture: NDArray[np.uint8], quarters: int) -> NDArray[np.uint8]:
    """A picture after quarter turns clockwise."""
    return np.ascontiguousarray(np.rot90(picture, -quarters))


def turned_points(
    points: NDArray[np.floating], quarters: int, shape: Sequence[int]
) -> NDArray[np.floating]:
    """Where points are after quarter turns clockwise of their picture.

    Args:
        points: [N, 2], x and y in pixels.
        quarters: Any whole number; below 0, counterclockwise.
        shape: Height and width of the picture before, and what follows them.
    """
    height, width = shape[:2]
    x, y = points.T
    turned = ((x, y), (height - y, x), (width - x, height - y), (y, width - x))[quarters % 4]
    return np.stack(turned, 1)


def turned_box(box: Box, quarters: int, shape: Sequence[int]) -> Box:
    """Where a box is after quarter turns clockwise of its picture; see `turned_points`."""
    corners = turned_points(np.array(box).reshape(2, 2), quarters, shape)
    x_min, y_min = corners.min(0).tolist()
    x_max, y_max = corners.max(0).tolist()
    return x_min, y_min, x_max, y_max
