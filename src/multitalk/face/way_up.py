"""Which way up a face is.

The mesh takes a face that is upside down for an upright one now and then, chin for forehead. Its
looks at it agree far less, though, than at the same face the right way up, and least of all where
the picture is tilted a little: so the right angles are compared by how well the looks agree.
"""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face.points import FaceLandmarks
from multitalk.face.turning import turned_picture, turned_points

# Measured on demo portraits of public repositories (docs/experiments.md).
LEANING = 55.0  # degrees of tilt up to which a head leans in an upright picture
CONFIDENT_SPREAD = 0.008  # an upside-down face never looks so sharp
DOUBTFUL_SPREAD = 0.012  # above it a face may also be on its side
COMPARABLE = 1.5  # of the spread, up to which another right angle is worth a closer look
CLEARLY = 0.6  # of spread x unsteadiness, below which another right angle is the right one

TILTS = (-20.0, 0.0, 20.0)  # degrees, of the closer look
UNSEEN = 0.05  # unsteadiness of a look that sees nothing, in face sizes
MARGIN = 3.4  # side of the part of the picture that is looked at / face size


class Mesh(Protocol):
    """What finds the points of a face; see `face.landmarks.FaceDetector.refine`."""

    def refine(
        self, image: NDArray[np.uint8], x: float, y: float, size: float
    ) -> FaceLandmarks | None:
        """The points of the face of about `size` pixels around (x, y), or None."""
        ...


def quarters_to_upright(mesh: Mesh, picture: NDArray[np.uint8], face: FaceLandmarks) -> int:
    """Quarter turns clockwise of the picture after which a face is upright: 0 to 3."""
    if abs(face.roll_degrees) > LEANING:
        return -round(face.roll_degrees / 90) % 4
    if face.spread <= CONFIDENT_SPREAD:
        return 0
    part = _Part(mesh, picture, face)
    spreads = {0: face.spread}
    for quarters in (2, 1, 3) if face.spread > DOUBTFUL_SPREAD else (2,):
        other = part.look(quarters, 0.0)
        if other is None or abs(other.roll_degrees) > LEANING:
            continue
        if other.spread <= COMPARABLE * face.spread:
            spreads[quarters] = other.spread
    if len(spreads) == 1:
        return 0
    doubt = {turn: spread * part.unsteadiness(turn) for turn, spread in spreads.items()}
    best = min(doubt, key=doubt.__getitem__)
    return best if doubt[best] < CLEARLY * doubt[0] else 0


class _Part:
    """A face's surroundings, which can be looked at at any angle."""

    def __init__(self, mesh: Mesh, picture: NDArray[np.uint8], face: FaceLandmarks) -> None:
        reach = face.size * MARGIN / 2
        (height, width), (x, y) = picture.shape[:2], face.center
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(width, int(x + reach) + 1), min(height, int(y + reach) + 1)
        self._mesh = mesh
        self._picture = picture[top:bottom, left:right]
        self._centre = np.array([[x - left, y - top]])
        self._size = face.size

    def look(self, quarters: int, tilt: float) -> FaceLandmarks | None:
        """The face after quarter turns clockwise, seen in a picture that is tilted as well.

        Args:
            quarters: Of the surroundings.
            tilt: Degrees counterclockwise, around the face; undone in what is returned.
        """
        x, y = turned_points(self._centre, quarters, self._picture.shape)[0].tolist()
        turned = turned_picture(self._picture, quarters)
        if not tilt:
            return self._mesh.refine(turned, x, y, self._size)
        there = cv2.getRotationMatrix2D((x, y), tilt, 1.0)
        tilted = cv2.warpAffine(turned, there, turned.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        face = self._mesh.refine(np.asarray(tilted, np.uint8), x, y, self._size)
        if face is None:
            return None
        back = cv2.invertAffineTransform(there)
        points = face.points.copy()
        points[:, :2] = face.points[:, :2] @ back[:, :2].T + back[:, 2]
        return FaceLandmarks(points, face.spread)

    def unsteadiness(self, quarters: int) -> float:
        """How far apart the points are in tilted pictures: mean, in face sizes."""
        looks = [self.look(quarters, tilt) for tilt in TILTS]
        seen = np.array([face.points[:, :2] for face in looks if face is not None])
        if len(seen) < 2:
            return UNSEEN
        apart = np.abs(seen - np.median(seen, axis=0)).mean() / self._size
        missing = 1 - len(seen) / len(looks)
        return float(apart * (1 - missing) + UNSEEN * missing)
