"""Other faces near a head: where what moves with it ends between the two."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face.landmarks import FaceLandmarks


class Neighbour(NamedTuple):
    """Another face of the picture, that of somebody who speaks or not.

    Attributes:
        centre: (x, y), pixels.
        height: Of the face, pixels.
    """

    centre: NDArray[np.float64]
    height: float

    @classmethod
    def of_box(cls, box: Box) -> "Neighbour":
        """A face that a detector found and whose landmarks cannot be read; pixels."""
        centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
        return cls(centre, max(box[2] - box[0], box[3] - box[1]))


def neighbours_of(
    faces: Sequence[FaceLandmarks],
    found: Sequence[FaceLandmarks],
    unread: Sequence[Box] = (),
) -> list[tuple[Neighbour, ...]]:
    """The neighbours of each of `faces`, which are among those that were found."""

    def centre(face: FaceLandmarks) -> NDArray[np.float64]:
        return face.points[:, :2].mean(0).astype(np.float64)

    boxes = tuple(Neighbour.of_box(box) for box in unread)
    return [
        tuple(
            Neighbour(centre(other), other.height)
            for other in found
            if not np.array_equal(other.points, face.points)
        )
        + boxes
        for face in faces
    ]


def towards(
    neighbour: Neighbour,
    centre: NDArray[np.float64],
    height: float,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
) -> tuple[NDArray[np.floating], float]:
    """How far places are on the way from a face to a neighbour, and where the face's part ends.

    The way is shared as the heights of the two faces are: small faces behind a large one leave it
    its hair.

    Args:
        neighbour: The other face.
        centre: Of this face, (x, y) pixels.
        height: Of this face, pixels.
        x: Of the places, pixels, of any shape.
        y: The same shape.

    Returns:
        Pixels along the line between the centres, of that shape; the end in the same pixels.
    """
    way = neighbour.centre - centre
    length = max(float(np.hypot(*way)), 1.0)
    along = ((x - centre[0]) * way[0] + (y - centre[1]) * way[1]) / length
    return along, length * height / (height + neighbour.height)
