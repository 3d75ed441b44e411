"""Upright orientation of a picture by its faces: photos arrive upside down or sideways, untagged.

The mesh sometimes takes an upside-down face for an upright one, chin for forehead. Its readings
then agree far less than of the same face the right way up, least of all in a slightly tilted
picture. So the right angles are compared by the spread of the readings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box, scaled_box
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.search import SearchResult
from multitalk.face.transforms import rotate_box, rotate_picture, rotate_points

SIDES = (720, 1280)  # shorter and longer side, pixels: searched at most, as rendered at 720p
SMALLEST_FACE = 40  # face height, pixels of a rendered picture

# Measured on demo portraits of public repositories (docs/experiments.md).
MAX_ROLL = 55.0  # degrees of head roll in an upright picture
CONFIDENT_SPREAD = 0.008  # below it a face is not upside down
DOUBTFUL_SPREAD = 0.012  # above it a face may also be sideways
COMPARABLE = 1.5  # factor of the spread up to which another right angle is compared more closely
CLEARLY = 0.6  # factor of spread x instability below which another right angle wins

TILTS = (-20.0, 0.0, 20.0)  # degrees of extra rotation in the closer comparison
UNREADABLE = 0.05  # instability of a tilt at which no face is read, face sizes
MARGIN = 3.4  # side of the compared part of the picture, face sizes


class LandmarkRefiner(Protocol):
    """Reads landmarks at a known position; see `face.detector.FaceDetector.refine`."""

    def refine(
        self, image: NDArray[np.uint8], x: float, y: float, size: float
    ) -> FaceLandmarks | None:
        """The landmarks of the face of about `size` pixels around (x, y), or None."""
        ...


class FaceSearch(Protocol):
    """A coarse-to-fine search of one picture; see `face.search.Search`."""

    def coarse(self) -> SearchResult:
        """Large, upright faces."""
        ...

    def full(self) -> SearchResult:
        """Also small and rotated faces."""
        ...


class Detector(LandmarkRefiner, Protocol):
    """Finds faces without rotating the picture; see `face.detector.FaceDetector`."""

    def search(
        self, image: NDArray[np.uint8], *, expected: int = 1, boxes: Sequence[Box] = ()
    ) -> FaceSearch:
        """A search for the faces of a picture."""
        ...


@dataclass(frozen=True)
class UprightPicture:
    """A picture, the right way up, and its faces.

    Attributes:
        picture: RGB uint8 [H, W, 3].
        quarters: Clockwise quarter turns applied, 0 to 3.
        found: Its faces, in its pixels; a face whose mouth is cut off counts as unread.
        scale: Pixels of the searched picture (as rendered at 720p) per pixel of this one.
    """

    picture: NDArray[np.uint8]
    quarters: int
    found: SearchResult
    scale: float

    @property
    def degrees(self) -> int:
        """The applied clockwise rotation: 0, 90, 180 or 270."""
        return 90 * self.quarters

    def box_as_sent(self, box: Box) -> Box:
        """A box of this picture in pixels of the picture before the rotation."""
        return rotate_box(box, -self.quarters, self.picture.shape)


def find_upright(
    detector: Detector,
    picture: NDArray[np.uint8],
    *,
    expected: int = 1,
    boxes: Sequence[Box] = (),
) -> UprightPicture:
    """Rotate a picture so that its faces are upright, and find them.

    It is not rotated where its faces are upright, or where no right angle shows a face.

    Args:
        detector: Finds faces.
        picture: RGB uint8 [H, W, 3].
        expected: How many faces there should be; see `face.search.Search`.
        boxes: Where some of them are, pixels.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, min(SIDES) / min(height, width), max(SIDES) / max(height, width))
    small = picture
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    scaled = [scaled_box(box, scale) for box in boxes]
    quarters, found = _RightAngles(detector, small, expected, scaled).best()
    upright = rotate_picture(picture, quarters)
    found = found.scaled(1 / scale).with_mouths(upright.shape)
    return UprightPicture(upright, quarters, found, scale)


def quarters_to_upright(
    refiner: LandmarkRefiner, picture: NDArray[np.uint8], face: FaceLandmarks
) -> int:
    """Clockwise quarter turns, 0 to 3, of the picture after which a face is upright."""
    if abs(face.roll_degrees) > MAX_ROLL:
        return -round(face.roll_degrees / 90) % 4
    if face.spread <= CONFIDENT_SPREAD:
        return 0
    surroundings = _Surroundings(refiner, picture, face)
    spreads = {0: face.spread}
    for quarters in (2, 1, 3) if face.spread > DOUBTFUL_SPREAD else (2,):
        other = surroundings.read(quarters, 0.0)
        if other is None or abs(other.roll_degrees) > MAX_ROLL:
            continue
        if other.spread <= COMPARABLE * face.spread:
            spreads[quarters] = other.spread
    if len(spreads) == 1:
        return 0
    doubt = {turn: spread * surroundings.instability(turn) for turn, spread in spreads.items()}
    best = min(doubt, key=doubt.__getitem__)
    return best if doubt[best] < CLEARLY * doubt[0] else 0


class _RightAngles:
    """The searches of one picture at the four right angles, run when needed."""

    def __init__(
        self,
        detector: Detector,
        picture: NDArray[np.uint8],
        expected: int,
        boxes: Sequence[Box],
    ) -> None:
        self._detector = detector
        self._pictures = {0: picture}
        self._boxes = [
            [rotate_box(box, quarters, picture.shape) for box in boxes] for quarters in range(4)
        ]
        self._expected = max(expected, len(boxes))
        self._searches: dict[int, FaceSearch] = {}

    def best(self) -> tuple[int, SearchResult]:
        """Clockwise quarter turns that make the picture upright, and its faces then."""
        for full in (False, True):
            quarters = self._upright_angle(full=full)
            if quarters is not None:
                found = self._search(quarters, full=full)
                if not self._is_enough(quarters, found):
                    found = self._search(quarters, full=True)
                return quarters, found
        return 0, self._search(0, full=True)

    def _upright_angle(self, *, full: bool) -> int | None:
        """The quarter turns at which the faces are upright; None where no face is found."""
        guess = self._missing_turns(0, full=full)
        if guess == 0:
            return 0
        if guess is not None and self._missing_turns(guess, full=full) == 0:
            return guess
        upright = [turn for turn in (2, 1, 3) if self._missing_turns(turn, full=full) == 0]
        return max(upright, key=lambda turn: self._rank(turn, full=full), default=None)

    def _missing_turns(self, quarters: int, *, full: bool) -> int | None:
        """Further quarter turns until the faces are upright; None where no face is found."""
        found = self._search(quarters, full=full)
        faces = [face for face in found.faces if any(map(face.is_in, self._boxes[quarters]))]
        faces = sorted(faces or found.faces, key=lambda face: -face.height)[: self._expected]
        votes = [0.0] * 4
        for face in faces:
            turn = quarters_to_upright(self._detector, self._rotated(quarters), face)
            votes[turn] += face.height
        return votes.index(max(votes)) if faces else None

    def _rank(self, quarters: int, *, full: bool) -> tuple[int, float]:
        faces = self._search(quarters, full=full).faces
        return min(len(faces), self._expected), -min(face.spread for face in faces)

    def _is_enough(self, quarters: int, found: SearchResult) -> bool:
        boxes = self._boxes[quarters]
        return len(found.faces) >= self._expected and all(
            any(face.is_in(box) for face in found.faces) for box in boxes
        )

    def _search(self, quarters: int, *, full: bool) -> SearchResult:
        if quarters not in self._searches:
            self._searches[quarters] = self._detector.search(
                self._rotated(quarters), expected=self._expected, boxes=self._boxes[quarters]
            )
        search = self._searches[quarters]
        return search.full() if full else search.coarse()

    def _rotated(self, quarters: int) -> NDArray[np.uint8]:
        if quarters not in self._pictures:
            self._pictures[quarters] = rotate_picture(self._pictures[0], quarters)
        return self._pictures[quarters]


class _Surroundings:
    """The part of a picture around one face, to be read at any rotation."""

    def __init__(
        self, refiner: LandmarkRefiner, picture: NDArray[np.uint8], face: FaceLandmarks
    ) -> None:
        reach = face.size * MARGIN / 2
        (height, width), (x, y) = picture.shape[:2], face.center
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(width, int(x + reach) + 1), min(height, int(y + reach) + 1)
        self._refiner = refiner
        self._picture = picture[top:bottom, left:right]
        self._centre = np.array([[x - left, y - top]])
        self._size = face.size

    def read(self, quarters: int, tilt: float) -> FaceLandmarks | None:
        """The face after quarter turns, read in a picture that is tilted in addition.

        Args:
            quarters: Clockwise quarter turns.
            tilt: Degrees counterclockwise around the face; undone in the result.
        """
        x, y = rotate_points(self._centre, quarters, self._picture.shape)[0].tolist()
        rotated = rotate_picture(self._picture, quarters)
        if not tilt:
            return self._refiner.refine(rotated, x, y, self._size)
        to_tilted = cv2.getRotationMatrix2D((x, y), tilt, 1.0)
        tilted = cv2.warpAffine(
            rotated, to_tilted, rotated.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
        )
        face = self._refiner.refine(np.asarray(tilted, np.uint8), x, y, self._size)
        if face is None:
            return None
        back = cv2.invertAffineTransform(to_tilted)
        points = face.points.copy()
        points[:, :2] = face.points[:, :2] @ back[:, :2].T + back[:, 2]
        return FaceLandmarks(points, face.spread)

    def instability(self, quarters: int) -> float:
        """Mean deviation of the landmarks between tilted pictures, face sizes."""
        readings = [self.read(quarters, tilt) for tilt in TILTS]
        points = np.array([face.points[:, :2] for face in readings if face is not None])
        if len(points) < 2:
            return UNREADABLE
        deviation = np.abs(points - np.median(points, axis=0)).mean() / self._size
        missing = 1 - len(points) / len(readings)
        return float(deviation * (1 - missing) + UNREADABLE * missing)
