"""A picture set upright by its faces: photos come upside down or sideways, with no word of it.

Its faces say which way up they are (`face.way_up`); where none is found, the other right angles
are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box, scaled_box
from multitalk.face.search import Found
from multitalk.face.turning import turned_box, turned_picture
from multitalk.face.way_up import Mesh, quarters_to_upright

# What is searched is no larger than this, as what is rendered: the shorter and the longer side.
SIDES = (720, 1280)
SMALLEST_FACE = 40  # pixels from the top of the forehead to the chin, in a rendered picture


class Search(Protocol):
    """What was found in a picture so far; see `face.search.Search`."""

    def quickly(self) -> Found:
        """The faces of a picture as most are."""
        ...

    def closely(self) -> Found:
        """Those that lie and small ones, too."""
        ...


class Detector(Mesh, Protocol):
    """What finds faces in a picture as it is; see `face.landmarks.FaceDetector`."""

    def search(
        self, image: NDArray[np.uint8], *, expected: int = 1, boxes: Sequence[Box] = ()
    ) -> Search:
        """A search for the faces of a picture."""
        ...


@dataclass(frozen=True)
class Upright:
    """A picture, the right way up, and its faces.

    Attributes:
        picture: RGB uint8 [H, W, 3].
        quarters: Quarter turns clockwise that it was turned by: 0 to 3.
        found: Its faces, in its pixels; a face whose mouth is cut off counts as unread.
        scale: Pixels of what is searched, and rendered at 720p, for one of its pixels.
    """

    picture: NDArray[np.uint8]
    quarters: int
    found: Found
    scale: float

    @property
    def degrees(self) -> int:
        """What the picture was turned by, clockwise: 0, 90, 180 or 270."""
        return 90 * self.quarters

    def box_as_sent(self, box: Box) -> Box:
        """A box of this picture in pixels of the picture that was given."""
        return turned_box(box, -self.quarters, self.picture.shape)


def find_upright(
    detector: Detector,
    picture: NDArray[np.uint8],
    *,
    expected: int = 1,
    boxes: Sequence[Box] = (),
) -> Upright:
    """Set a picture upright by its faces, and find them.

    It stays as it is where its faces are upright, and where none is found at any right angle.

    Args:
        detector: Finds faces.
        picture: RGB uint8 [H, W, 3].
        expected: How many faces there should be; see `face.search.Search`.
        boxes: Where some of them are, in pixels of the picture.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, min(SIDES) / min(height, width), max(SIDES) / max(height, width))
    small = picture
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    scaled = [scaled_box(box, scale) for box in boxes]
    quarters, found = _Angles(detector, small, expected, scaled).decide()
    upright = turned_picture(picture, quarters)
    found = found.scaled(1 / scale).with_mouths(upright.shape)
    return Upright(upright, quarters, found, scale)


class _Angles:
    """One picture, as it is searched at the four right angles."""

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
            [turned_box(box, quarters, picture.shape) for box in boxes] for quarters in range(4)
        ]
        self._expected = max(expected, len(boxes))
        self._searches: dict[int, Search] = {}

    def decide(self) -> tuple[int, Found]:
        """The quarter turns clockwise that set the picture upright, and what is then found."""
        for closely in (False, True):
            quarters = self._right_angle(closely=closely)
            if quarters is not None:
                found = self._search(quarters, closely=closely)
                if not self._is_enough(quarters, found):
                    found = self._search(quarters, closely=True)
                return quarters, found
        return 0, self._search(0, closely=True)

    def _right_angle(self, *, closely: bool) -> int | None:
        """The quarter turns at which the faces are upright; None where none is found."""
        guess = self._missing(0, closely=closely)
        if guess == 0:
            return 0
        if guess is not None and self._missing(guess, closely=closely) == 0:
            return guess
        seen = [turn for turn in (2, 1, 3) if self._missing(turn, closely=closely) == 0]
        return max(seen, key=lambda turn: self._rank(turn, closely=closely), default=None)

    def _missing(self, quarters: int, *, closely: bool) -> int | None:
        """How many more quarter turns the faces need to be upright; None where none is found."""
        found = self._search(quarters, closely=closely)
        faces = [face for face in found.faces if any(map(face.is_in, self._boxes[quarters]))]
        faces = sorted(faces or found.faces, key=lambda face: -face.height)[: self._expected]
        votes = [0.0] * 4
        for face in faces:
            turn = quarters_to_upright(self._detector, self._turned(quarters), face)
            votes[turn] += face.height
        return votes.index(max(votes)) if faces else None

    def _rank(self, quarters: int, *, closely: bool) -> tuple[int, float]:
        faces = self._search(quarters, closely=closely).faces
        return min(len(faces), self._expected), -min(face.spread for face in faces)

    def _is_enough(self, quarters: int, found: Found) -> bool:
        boxes = self._boxes[quarters]
        return len(found.faces) >= self._expected and all(
            any(face.is_in(box) for face in found.faces) for box in boxes
        )

    def _search(self, quarters: int, *, closely: bool) -> Found:
        if quarters not in self._searches:
            self._searches[quarters] = self._detector.search(
                self._turned(quarters), expected=self._expected, boxes=self._boxes[quarters]
            )
        search = self._searches[quarters]
        return search.closely() if closely else search.quickly()

    def _turned(self, quarters: int) -> NDArray[np.uint8]:
        if quarters not in self._pictures:
            self._pictures[quarters] = turned_picture(self._pictures[0], quarters)
        return self._pictures[quarters]
