"""Where faces are looked for in a picture, whatever networks do the looking."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box, scaled_box
from multitalk.face.agreement import SURE_SCORE
from multitalk.face.points import FaceLandmarks

# How a picture is looked at while it shows too few faces: pixels of its longer side, and quarter
# turns clockwise, because the detector knows no head that lies. First quickly, then closely.
QUICK_LOOKS = ((320, 0), (640, 0))
CLOSE_LOOKS = ((320, 1), (320, 3), (320, 2), (1280, 0))
MOST_ENLARGED = 2.0  # sides to which a small picture is scaled after the first look, of its own
BOX_LOOK = 320  # pixels for a part of a picture in which a caller says that a face is

# The part of the picture in which the face of a box is looked for, in boxes: people draw boxes
# around a face, around a head, or around somebody from head to foot.
BOX_MARGINS = (2.0, 1.3, 3.5)
FACES_IN_BOX = (1.0, 0.7)  # sizes of a face, in boxes, that are tried where no detector sees one

SAME_TILT = 0.35  # radians between two places at which the mesh sees the same
SURE_PIXELS = 40  # of a face for that


class Place(NamedTuple):
    """Where a detector sees a face.

    Attributes:
        x: Its middle, in pixels.
        y: Likewise.
        size: Longer side of its box, in pixels.
        score: How sure the detector is, up to 1.
        tilt: Radians by which the face is tilted clockwise.
    """

    x: float
    y: float
    size: float
    score: float
    tilt: float = 0.0

    @property
    def box(self) -> Box:
        """The square of that size."""
        half = self.size / 2
        return self.x - half, self.y - half, self.x + half, self.y + half


class Networks(Protocol):
    """What finds faces: a detector, which says where, and a mesh, which says whether and how."""

    def places(self, image: NDArray[np.uint8], *, longer: int, quarters: int = 0) -> list[Place]:
        """Where the detector sees faces.

        Args:
            image: RGB uint8 [H, W, 3], a picture or a part of one.
            longer: Pixels to which its longer side is scaled to be looked at.
            quarters: Quarter turns clockwise after which it is looked at; the places are in the
                picture as it is given.
        """
        ...

    def verified(self, image: NDArray[np.uint8], place: Place) -> FaceLandmarks | None:
        """The points of the face at a place, or None where the mesh does not hold."""
        ...


@dataclass(frozen=True)
class Found:
    """What was found in a picture.

    Attributes:
        faces: From left to right.
        unread: Where a detector is sure of a face and the mesh does not hold: it is turned too far,
            covered, cut off or blurred. Boxes in pixels, the surest first.
    """

    faces: tuple[FaceLandmarks, ...]
    unread: tuple[Box, ...] = ()

    def scaled(self, factor: float) -> "Found":
        """The same in a picture that is enlarged by a factor."""
        return Found(
            tuple(face.scaled(factor) for face in self.faces),
            tuple(scaled_box(box, factor) for box in self.unread),
        )

    def with_mouths(self, shape: Sequence[int]) -> "Found":
        """The same where only those are faces whose lips are in the picture.

        The mesh guesses what the picture's edge cuts off.

        Args:
            shape: Height and width of the picture, and what follows them.
        """
        able = tuple(face for face in self.faces if face.shows_its_mouth(shape))
        cut = tuple(face.box for face in self.faces if not face.shows_its_mouth(shape))
        return Found(able, (*cut, *self.unread))


class Search:
    """A search for the faces of a picture: in the boxes, then in all of it, ever more closely.

    Each step is taken only while a box has no face, or fewer faces than expected were found; more
    may come back. A step is taken once: who asks again goes on from there.

    Args:
        networks: What looks.
        image: RGB uint8 [H, W, 3].
        expected: How many faces there should be, those in boxes included.
        boxes: Where faces are, by the caller's word; in pixels.
    """

    def __init__(
        self,
        networks: Networks,
        image: NDArray[np.uint8],
        *,
        expected: int = 1,
        boxes: Sequence[Box] = (),
    ) -> None:
        self._networks = networks
        self._image = image
        self._expected = max(expected, len(boxes))
        self._boxes = boxes
        self._faces: list[FaceLandmarks] = []
        self._failed: list[Place] = []
        self._quick_steps = self._look_quickly()
        self._close_steps = self._look(CLOSE_LOOKS)

    def quickly(self) -> Found:
        """What is found without a look for faces that lie, and for small ones."""
        return self._go_on(self._quick_steps)

    def closely(self) -> Found:
        """What is found by all looks."""
        self._go_on(self._quick_steps)
        return self._go_on(self._close_steps)

    def _go_on(self, steps: Iterator[list[Place]]) -> Found:
        while not self._is_enough() and (places := next(steps, None)) is not None:
            for place in sorted(places, key=lambda place: -place.score):
                self._try(place)
        faces = sorted(self._faces, key=lambda face: face.center[0])
        return Found(tuple(faces), tuple(_unread(self._failed, faces)))

    def _try(self, place: Place) -> None:
        # Only a face that was found blocks its surroundings. Where the mesh did not hold, a
        # slightly different look may, and somebody else may be near.
        if any(_covers(face, place) for face in self._faces):
            return
        if any(_repeats(place, other) for other in self._failed):
            return
        face = self._networks.verified(self._image, place)
        if face is None:
            self._failed.append(place)
        elif not any(_same_face(face, other) for other in self._faces):
            self._faces.append(face)

    def _is_enough(self) -> bool:
        return len(self._faces) >= self._expected and all(
            any(face.is_in(box) for face in self._faces) for box in self._boxes
        )

    def _look_quickly(self) -> Iterator[list[Place]]:
        if self._boxes:
            yield [
                place
                for box in self._boxes
                for place in _places_in_box(self._networks, self._image, box)
            ]
        yield from self._look(QUICK_LOOKS)

    def _look(self, looks: Sequence[tuple[int, int]]) -> Iterator[list[Place]]:
        for longer, quarters in looks:
            if longer == QUICK_LOOKS[0][0] or longer <= MOST_ENLARGED * max(self._image.shape[:2]):
                yield self._networks.places(self._image, longer=longer, quarters=quarters)


def _places_in_box(networks: Networks, image: NDArray[np.uint8], box: Box) -> Iterator[Place]:
    """Where the face of a box may be. The caller's word makes a detector sure."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across, down = box[2] - box[0], box[3] - box[1]
    longer, shorter = max(across, down), min(across, down)
    for margin in BOX_MARGINS:
        reach = longer * (margin - 1) / 2
        part = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
        for place in _places_in(networks, image, part):
            if box[0] <= place.x <= box[2] and box[1] <= place.y <= box[3]:
                yield place._replace(score=max(place.score, SURE_SCORE))
    for part_of_box in FACES_IN_BOX:
        yield Place(x, y, shorter * part_of_box, 0.0)


def _places_in(networks: Networks, image: NDArray[np.uint8], part: Box) -> Iterator[Place]:
    """What the detector sees in a part of a picture, in pixels of the picture."""
    height, width = image.shape[:2]
    left, top = max(0, int(part[0])), max(0, int(part[1]))
    right, bottom = min(width, int(np.ceil(part[2]))), min(height, int(np.ceil(part[3])))
    if right - left < 2 or bottom - top < 2:
        return
    for place in networks.places(image[top:bottom, left:right], longer=BOX_LOOK):
        yield place._replace(x=place.x + left, y=place.y + top)


def _unread(failed: Sequence[Place], faces: Sequence[FaceLandmarks]) -> Iterator[Box]:
    """Boxes of the places that failed and are surely faces, one for each."""
    shown: list[Place] = []
    for place in sorted(failed, key=lambda place: -place.score):
        if place.score < SURE_SCORE or place.size < SURE_PIXELS:
            continue
        if any(_covers(face, place) for face in faces):
            continue
        if any(_apart(place, (other.x, other.y)) < other.size for other in shown):
            continue
        shown.append(place)
        yield place.box


def _covers(face: FaceLandmarks, place: Place) -> bool:
    return _apart(place, face.center) < 0.5 * max(face.size, place.size)


def _repeats(place: Place, other: Place) -> bool:
    """Whether two places are so near each other that the mesh would see the same."""
    if abs((place.tilt - other.tilt + np.pi) % (2 * np.pi) - np.pi) > SAME_TILT:
        return False
    apart = _apart(place, (other.x, other.y))
    return apart < 0.03 * other.size and abs(place.size - other.size) < 0.06 * other.size


def _same_face(first: FaceLandmarks, second: FaceLandmarks) -> bool:
    apart = np.hypot(*np.subtract(first.center, second.center))
    return bool(apart < 0.5 * max(first.size, second.size))


def _apart(place: Place, centre: tuple[float, float]) -> float:
    return float(np.hypot(place.x - centre[0], place.y - centre[1]))
