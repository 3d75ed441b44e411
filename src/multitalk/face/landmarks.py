"""Where the faces of a picture are: 478 points per person.

`detect_faces` is for one picture; `FaceDetector` keeps the networks loaded for many.
"""

from collections.abc import Sequence
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face.agreement import KNOWN, Limits, limits_of
from multitalk.face.networks import MESH_PIXELS, Detector, Mesh
from multitalk.face.points import FaceLandmarks
from multitalk.face.search import Place, Search
from multitalk.face.squares import Square, around, cut
from multitalk.face.turning import turned_picture, turned_points

__all__ = ["MIN_FACE_PIXELS", "FaceDetector", "FaceLandmarks", "detect_faces"]

MIN_FACE_PIXELS = 28  # smaller ones are found too, but their lips are below one pixel

# Side of the square in which a face is first read / longer side of the box that a detector or a
# caller gives; then of those in which it is read again / longer side of its points' own box. The
# median over three is steadier than one. The first two differ most, where most disagree.
FIRST_MARGIN = 1.4
MARGINS = (1.3, 1.75, 1.5)
FOLLOWED_MARGIN = 1.4  # of what follows the voice best in rendered and filmed talks
MAX_DRIFT = 0.15  # face sizes between the first reading and the next; of 1251 faces, 0.09 at most

PRESENT = 0.5  # from which the mesh's own word is enough to follow a face
LOST_MARGIN, LOST_PIXELS = 3.5, 160  # of the square in which a face is looked for that is lost
NEAR = 0.5  # face sizes by which a face may move from a frame to the next


class FaceDetector:
    """The detector and the mesh, loaded once; use it as a context manager or call `close`.

    One call at a time: a detector may move between threads, but two threads may not use the same
    one at once. Making one takes about 0.03 s.
    """

    def __init__(self) -> None:
        self._detector = Detector()
        self._mesh = Mesh()

    def __enter__(self) -> "FaceDetector":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks. A closed detector cannot be used again."""
        del self._detector, self._mesh

    def detect(self, image: NDArray[np.uint8], *, expected: int = 1) -> list[FaceLandmarks]:
        """Find the faces of one picture.

        Args:
            image: RGB uint8 [H, W, 3].
            expected: How many faces there should be. The picture is looked at ever more closely
                only while fewer were found; more than `expected` may come back.

        Returns:
            Faces from left to right; empty when there is none.
        """
        return list(self.search(image, expected=expected).closely().faces)

    def search(
        self, image: NDArray[np.uint8], *, expected: int = 1, boxes: Sequence[Box] = ()
    ) -> Search:
        """A search for the faces of one picture, and for where one is seen only."""
        return Search(self, image, expected=expected, boxes=boxes)

    def places(self, image: NDArray[np.uint8], *, longer: int, quarters: int = 0) -> list[Place]:
        """Where the detector sees faces; see `face.search.Networks`."""
        height, width = image.shape[:2]
        scale = longer / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(image, size, interpolation=flags), np.uint8)
        turned = turned_picture(small, quarters)
        return [
            _turned_back(place, quarters, turned.shape, (width / size[0], height / size[1]))
            for place in self._detector.places(turned)
        ]

    def verified(self, image: NDArray[np.uint8], place: Place) -> FaceLandmarks | None:
        """The points of the face at a place, or None; see `face.search.Networks`."""
        square = Square(place.x, place.y, FIRST_MARGIN * place.size, place.tilt)
        return self._verified(image, square, limits_of(place.score))

    def refine(
        self, image: NDArray[np.uint8], x: float, y: float, size: float
    ) -> FaceLandmarks | None:
        """Find the points of the upright face of about `size` pixels around (x, y).

        Args:
            image: RGB uint8 [H, W, 3].
            x: Centre of the face, in pixels.
            y: Centre of the face, in pixels.
            size: Longer side of the face's box, in pixels.

        Returns:
            The face, or None where the mesh does not see one.
        """
        # Whoever asks does not know well where the face is, so it is read once more.
        first, _ = self._read(image, Square(x, y, FIRST_MARGIN * size))
        return self._verified(image, around(first, margin=FIRST_MARGIN), KNOWN)

    def follow(self, image: NDArray[np.uint8], before: FaceLandmarks) -> FaceLandmarks | None:
        """Find a face near where it was in the frame before; None if it is gone.

        It is read once, where it was. The mesh itself says whether it is there, but of faces in
        profile it says no: there the detector is asked, which sees them in a small cut.
        """
        points, presence = self._read(image, around(before.points, margin=FOLLOWED_MARGIN))
        face = FaceLandmarks(points)
        if presence > PRESENT:
            return face
        place = self._nearest(image, before)
        if place is None:
            return None
        if np.hypot(place.x - face.center[0], place.y - face.center[1]) < NEAR * face.size:
            return face
        return self.verified(image, place)

    def _verified(
        self, image: NDArray[np.uint8], square: Square, limits: Limits
    ) -> FaceLandmarks | None:
        """Read a face twice: the first reading tells where those of the second are.

        Most of what is no face is known as such before the last reading.
        """
        first, _ = self._read(image, square)
        narrow, presence = self._read(image, around(first, margin=MARGINS[0]))
        if presence < limits.presence or _apart(first, narrow) > MAX_DRIFT:
            return None
        readings = [narrow, self._read(image, around(first, margin=MARGINS[1]))[0]]
        # The median of three lies between any two, so that one of these is half as far off.
        if _apart(*readings) > 2 * limits.widest:
            return None
        readings.append(self._read(image, around(first, margin=MARGINS[2]))[0])
        points = np.median(np.stack(readings), axis=0).astype(np.float32)
        off = max(float(np.abs(one[:, :2] - points[:, :2]).mean()) for one in readings)
        size = FaceLandmarks(points).size
        if size < MIN_FACE_PIXELS:
            return None
        face = FaceLandmarks(points, off / size)
        return face if limits.hold(face) else None

    def _nearest(self, image: NDArray[np.uint8], before: FaceLandmarks) -> Place | None:
        """What the detector sees next to where a face was."""
        square = around(before.points, margin=LOST_MARGIN)
        part = cut(image, square, LOST_PIXELS)
        seen = []
        for place in self.places(part.pixels, longer=LOST_PIXELS):
            x, y = part.in_picture(np.array([place.x, place.y])).tolist()
            size = place.size * square.side / LOST_PIXELS
            tilt = place.tilt + square.tilt
            seen.append(place._replace(x=x, y=y, size=size, tilt=tilt))
        x, y = before.center
        return min(seen, key=lambda place: np.hypot(place.x - x, place.y - y), default=None)

    def _read(self, image: NDArray[np.uint8], square: Square) -> tuple[NDArray[np.float32], float]:
        """The mesh [478, 3] in a square, in pixels of the picture, and how present a face is."""
        part = cut(image, square, MESH_PIXELS)
        seen, presence = self._mesh.read(part.pixels)
        depth = seen[:, 2:] * (square.side / MESH_PIXELS)
        return np.hstack([part.in_picture(seen[:, :2]), depth]).astype(np.float32), presence


def detect_faces(image: NDArray[np.uint8], *, expected: int = 1) -> list[FaceLandmarks]:
    """Find the faces of one picture, from left to right; see `FaceDetector.detect`."""
    with FaceDetector() as detector:
        return detector.detect(image, expected=expected)


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How far apart two readings are: mean along an axis, in sizes of the box around both."""
    both = np.vstack([one, other])[:, :2]
    size = float((both.max(0) - both.min(0)).max())
    return float(np.abs(one[:, :2] - other[:, :2]).mean()) / max(size, 1e-6)


def _turned_back(
    place: Place, quarters: int, shape: Sequence[int], scales: tuple[float, float]
) -> Place:
    """A place of a scaled and turned picture, in the picture as it was.

    Args:
        place: In the turned picture.
        quarters: That it was turned by, clockwise.
        shape: Of the turned picture.
        scales: Pixels of the picture, across and down, for one of the scaled.
    """
    middle = np.array([[place.x + 0.5, place.y + 0.5]])
    x, y = (turned_points(middle, -quarters, shape)[0] * scales - 0.5).tolist()
    tilt = (place.tilt - quarters * np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    return Place(x, y, place.size * (scales[0] + scales[1]) / 2, place.score, float(tilt))
