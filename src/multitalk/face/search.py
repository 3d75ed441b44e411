"""Coarse-to-fine search for the faces of a picture, and their assignment to speakers.

Independent of the networks used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box, scaled_box
from multitalk.face.landmarks import FaceLandmarks

SURE_SCORE = 0.7  # detector score from which somebody is there, readable or not

# Detector passes while too few faces are found: pixels of the longer side, and clockwise quarter
# turns, because the detector does not find heads that lie on their side.
COARSE_PASSES = ((320, 0), (640, 0))
FINE_PASSES = ((320, 1), (320, 3), (320, 2), (1280, 0))
MAX_ENLARGED = 2.0  # factor by which a small picture is enlarged for a pass after the first
BOX_SIDE = 320  # pixels of the longer side of a searched box

# Side of the searched part, in sides of the caller's box: people draw boxes around a face, a head
# or a whole person.
BOX_MARGINS = (2.0, 1.3, 3.5)
FACES_IN_BOX = (1.0, 0.7)  # face sizes, in box sides, tried where the detector finds none

SAME_CENTRE = 0.5  # distance, in sizes of the larger, below which two faces are one
SAME_TILT = 0.35  # radians between two detections that the mesh reads alike
SAME_PLACE, SAME_SIZE = 0.03, 0.06  # differences, in face sizes, likewise
MIN_UNREAD_PIXELS = 40  # detections below it are not reported as unread faces


class Detection(NamedTuple):
    """One detection.

    Attributes:
        x: Centre, pixels.
        y: Centre, pixels.
        size: Longer side of the box, pixels.
        score: Detector score, 0..1.
        tilt: Clockwise tilt of the face, radians.
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


class FaceModels(Protocol):
    """A detector that proposes faces, and a landmark mesh that verifies them."""

    def locate(
        self, image: NDArray[np.uint8], *, longer: int, quarters: int = 0
    ) -> list[Detection]:
        """Run the detector.

        Args:
            image: RGB uint8 [H, W, 3], a picture or a part of one.
            longer: Pixels to which its longer side is scaled first.
            quarters: Clockwise quarter turns before detection; results are in `image`'s pixels.
        """
        ...

    def verify(self, image: NDArray[np.uint8], detection: Detection) -> FaceLandmarks | None:
        """The landmarks at a detection, or None where the mesh readings do not agree."""
        ...


@dataclass(frozen=True)
class SearchResult:
    """The faces of a picture.

    Attributes:
        faces: From left to right.
        unread: Boxes, in pixels, of sure detections whose landmarks cannot be read (turned too far,
            covered, cut off or blurred), by falling score.
    """

    faces: tuple[FaceLandmarks, ...]
    unread: tuple[Box, ...] = ()

    def scaled(self, factor: float) -> "SearchResult":
        """The same in a picture enlarged by a factor."""
        return SearchResult(
            tuple(face.scaled(factor) for face in self.faces),
            tuple(scaled_box(box, factor) for box in self.unread),
        )

    def with_mouths(self, shape: Sequence[int]) -> "SearchResult":
        """Move faces whose lips are outside the picture to `unread`: the mesh extrapolates there.

        Args:
            shape: (height, width, ...) of the picture.
        """
        able = tuple(face for face in self.faces if face.shows_its_mouth(shape))
        cut = tuple(face.box for face in self.faces if not face.shows_its_mouth(shape))
        return SearchResult(able, (*cut, *self.unread))


class Search:
    """Searches a picture's boxes, then the whole picture in ever finer passes.

    A pass runs only while a box has no face or fewer faces than expected were found, and runs at
    most once; more faces than expected may be found.

    Args:
        models: Detector and mesh.
        image: RGB uint8 [H, W, 3].
        expected: How many faces there should be, those in boxes included.
        boxes: Where the caller says faces are, pixels.
    """

    def __init__(
        self,
        models: FaceModels,
        image: NDArray[np.uint8],
        *,
        expected: int = 1,
        boxes: Sequence[Box] = (),
    ) -> None:
        self._models = models
        self._image = image
        self._expected = max(expected, len(boxes))
        self._boxes = boxes
        self._faces: list[FaceLandmarks] = []
        self._rejected: list[Detection] = []
        self._coarse_passes = self._boxes_and_coarse_passes()
        self._fine_passes = self._passes(FINE_PASSES)

    def coarse(self) -> SearchResult:
        """The result without the passes for rotated and small faces."""
        return self._run(self._coarse_passes)

    def full(self) -> SearchResult:
        """The result of all passes."""
        self._run(self._coarse_passes)
        return self._run(self._fine_passes)

    def _run(self, passes: Iterator[list[Detection]]) -> SearchResult:
        while not self._is_enough() and (detections := next(passes, None)) is not None:
            for detection in sorted(detections, key=lambda one: -one.score):
                self._verify(detection)
        faces = sorted(self._faces, key=lambda face: face.center[0])
        return SearchResult(tuple(faces), tuple(_unread(self._rejected, faces)))

    def _verify(self, detection: Detection) -> None:
        # Only a verified face suppresses its surroundings. Where one was rejected, a slightly
        # different crop may succeed, and somebody else may be close by.
        if any(_covers(face, detection) for face in self._faces):
            return
        if any(_repeats(detection, other) for other in self._rejected):
            return
        face = self._models.verify(self._image, detection)
        if face is None:
            self._rejected.append(detection)
        elif not any(_same_face(face, other) for other in self._faces):
            self._faces.append(face)

    def _is_enough(self) -> bool:
        return len(self._faces) >= self._expected and all(
            any(face.is_in(box) for face in self._faces) for box in self._boxes
        )

    def _boxes_and_coarse_passes(self) -> Iterator[list[Detection]]:
        if self._boxes:
            yield [
                detection
                for box in self._boxes
                for detection in _detections_in_box(self._models, self._image, box)
            ]
        yield from self._passes(COARSE_PASSES)

    def _passes(self, passes: Sequence[tuple[int, int]]) -> Iterator[list[Detection]]:
        longest = MAX_ENLARGED * max(self._image.shape[:2])
        for longer, quarters in passes:
            if longer == COARSE_PASSES[0][0] or longer <= longest:
                yield self._models.locate(self._image, longer=longer, quarters=quarters)


def _detections_in_box(
    models: FaceModels, image: NDArray[np.uint8], box: Box
) -> Iterator[Detection]:
    """Candidates for the face of a box; the caller's box makes a detection sure."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across, down = box[2] - box[0], box[3] - box[1]
    longer, shorter = max(across, down), min(across, down)
    for margin in BOX_MARGINS:
        reach = longer * (margin - 1) / 2
        part = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
        for detection in _detections_in_part(models, image, part):
            if box[0] <= detection.x <= box[2] and box[1] <= detection.y <= box[3]:
                yield detection._replace(score=max(detection.score, SURE_SCORE))
    for part_of_box in FACES_IN_BOX:
        yield Detection(x, y, shorter * part_of_box, 0.0)


def _detections_in_part(
    models: FaceModels, image: NDArray[np.uint8], part: Box
) -> Iterator[Detection]:
    """The detector's output for a part of a picture, in pixels of the picture."""
    height, width = image.shape[:2]
    left, top = max(0, int(part[0])), max(0, int(part[1]))
    right, bottom = min(width, int(np.ceil(part[2]))), min(height, int(np.ceil(part[3])))
    if right - left < 2 or bottom - top < 2:
        return
    for detection in models.locate(image[top:bottom, left:right], longer=BOX_SIDE):
        yield detection._replace(x=detection.x + left, y=detection.y + top)


def _unread(rejected: Sequence[Detection], faces: Sequence[FaceLandmarks]) -> Iterator[Box]:
    """Boxes of the sure detections among the rejected, one per face."""
    reported: list[Detection] = []
    for detection in sorted(rejected, key=lambda one: -one.score):
        if detection.score < SURE_SCORE or detection.size < MIN_UNREAD_PIXELS:
            continue
        if any(_covers(face, detection) for face in faces):
            continue
        if any(_distance(detection, (other.x, other.y)) < other.size for other in reported):
            continue
        reported.append(detection)
        yield detection.box


def _covers(face: FaceLandmarks, detection: Detection) -> bool:
    return _distance(detection, face.center) < SAME_CENTRE * max(face.size, detection.size)


def _repeats(detection: Detection, other: Detection) -> bool:
    """Whether two detections are so close that the mesh would read the same."""
    if abs((detection.tilt - other.tilt + np.pi) % (2 * np.pi) - np.pi) > SAME_TILT:
        return False
    is_near = _distance(detection, (other.x, other.y)) < SAME_PLACE * other.size
    return is_near and abs(detection.size - other.size) < SAME_SIZE * other.size


def _same_face(first: FaceLandmarks, second: FaceLandmarks) -> bool:
    distance = np.hypot(*np.subtract(first.center, second.center))
    return bool(distance < SAME_CENTRE * max(first.size, second.size))


def _distance(detection: Detection, centre: tuple[float, float]) -> float:
    return float(np.hypot(detection.x - centre[0], detection.y - centre[1]))
