"""Where faces are looked for in a picture, whatever networks do the looking."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.face.points import Box, FaceLandmarks, scaled_box

# Tiles, as parts of the picture's shorter side, in which faces are looked for when the full
# frame shows too few. The detectors see 128 or 192 pixels, whatever the tile's size.
TILE_PARTS = (1, 2, 3, 5, 8)
MIN_TILE_PIXELS = 160
TILE_OVERLAP = 1.5  # tiles per tile length

# The part of the picture in which the face of a box is looked for, in boxes: people draw boxes
# around a face, around a head, or around somebody from head to foot.
BOX_MARGINS = (2.0, 1.3, 3.5)
FACES_IN_BOX = (1.0, 0.7)  # sizes of a face, in boxes, that are tried where no detector sees one

SURE_SCORE = 0.7  # from which a detector's word is enough to say that somebody is there
SURE_PIXELS = 40  # of a face for that


class Place(NamedTuple):
    """Where a detector sees a face: centre and size in pixels, and how sure it is, up to 1."""

    x: float
    y: float
    size: float
    score: float

    @property
    def box(self) -> Box:
        """The square of that size."""
        half = self.size / 2
        return self.x - half, self.y - half, self.x + half, self.y + half


class Networks(Protocol):
    """What finds faces: detectors, which say where, and a mesh, which says whether and how."""

    def places(self, image: NDArray[np.uint8], *, whole: bool) -> list[Place]:
        """Where the detectors see faces.

        Args:
            image: RGB uint8 [H, W, 3], a picture or a part of one.
            whole: Whether to ask all detectors; else the quickest.
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


def find_faces(
    networks: Networks,
    image: NDArray[np.uint8],
    *,
    expected: int = 1,
    boxes: Sequence[Box] = (),
    closely: bool = True,
) -> Found:
    """Look for faces: in the boxes, then in the full frame, then in ever smaller tiles.

    Each step is taken only while a box has no face, or fewer faces than expected were found; more
    may come back.

    Args:
        networks: What looks.
        image: RGB uint8 [H, W, 3].
        expected: How many faces there should be, those in boxes included.
        boxes: Where faces are, by the caller's word; in pixels.
        closely: Whether to look in tiles, too.
    """
    faces: list[FaceLandmarks] = []
    failed: list[Place] = []
    wanted = max(expected, len(boxes))
    for places in _steps(networks, image, boxes, closely=closely):
        for place in sorted(places, key=lambda place: -place.score):
            # Only a face that was found blocks its surroundings. Where the mesh did not hold, a
            # slightly different look may, and somebody else may be near.
            if any(_covers(face, place) for face in faces):
                continue
            if any(_repeats(place, other) for other in failed):
                continue
            face = networks.verified(image, place)
            if face is None:
                failed.append(place)
            elif not any(_same_face(face, other) for other in faces):
                faces.append(face)
        if len(faces) >= wanted and all(any(face.is_in(box) for face in faces) for box in boxes):
            break
    return Found(
        tuple(sorted(faces, key=lambda face: face.center[0])), tuple(_unread(failed, faces))
    )


def has_tiles(shape: Sequence[int]) -> bool:
    """Whether a picture of this height and width is large enough to be searched in tiles."""
    shorter, longer = sorted(shape[:2])
    return shorter >= MIN_TILE_PIXELS and (longer > shorter or shorter // 2 >= MIN_TILE_PIXELS)


def _steps(
    networks: Networks, image: NDArray[np.uint8], boxes: Sequence[Box], *, closely: bool
) -> Iterator[list[Place]]:
    """Yield what the detectors see, step by step."""
    height, width = image.shape[:2]
    if boxes:
        yield [place for box in boxes for place in _places_in_box(networks, image, box)]
    yield networks.places(image, whole=True)
    if not closely:
        return
    for parts in TILE_PARTS:
        side = min(height, width) // parts
        if side < MIN_TILE_PIXELS:
            return
        if side == height == width:
            continue
        yield [
            place
            for top in _tile_starts(height, side)
            for left in _tile_starts(width, side)
            for place in _places_in(networks, image, (left, top, left + side, top + side))
        ]


def _places_in_box(networks: Networks, image: NDArray[np.uint8], box: Box) -> Iterator[Place]:
    """Where the face of a box may be. The caller's word makes a detector sure."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across, down = box[2] - box[0], box[3] - box[1]
    longer, shorter = max(across, down), min(across, down)
    for margin in BOX_MARGINS:
        reach = longer * (margin - 1) / 2
        part = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
        for place in _places_in(networks, image, part, whole=True):
            if box[0] <= place.x <= box[2] and box[1] <= place.y <= box[3]:
                yield place._replace(score=max(place.score, SURE_SCORE))
    for part_of_box in FACES_IN_BOX:
        yield Place(x, y, shorter * part_of_box, 0.0)


def _places_in(
    networks: Networks, image: NDArray[np.uint8], part: Box, *, whole: bool = False
) -> Iterator[Place]:
    """What the detectors see in a part of a picture, in pixels of the picture."""
    height, width = image.shape[:2]
    left, top = max(0, int(part[0])), max(0, int(part[1]))
    right, bottom = min(width, int(np.ceil(part[2]))), min(height, int(np.ceil(part[3])))
    if right - left < 2 or bottom - top < 2:
        return
    for place in networks.places(image[top:bottom, left:right], whole=whole):
        yield place._replace(x=place.x + left, y=place.y + top)


def _tile_starts(length: int, side: int) -> list[int]:
    count = max(1, int(np.ceil(length / side * TILE_OVERLAP))) if length > side else 1
    return sorted({int(start) for start in np.linspace(0, length - side, count)})


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
    apart = _apart(place, (other.x, other.y))
    return apart < 0.03 * other.size and abs(place.size - other.size) < 0.06 * other.size


def _same_face(first: FaceLandmarks, second: FaceLandmarks) -> bool:
    apart = np.hypot(*np.subtract(first.center, second.center))
    return bool(apart < 0.5 * max(first.size, second.size))


def _apart(place: Place, centre: tuple[float, float]) -> float:
    return float(np.hypot(place.x - centre[0], place.y - centre[1]))
