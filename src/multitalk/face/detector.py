"""Face detection and tracking: 478 landmarks per person, in one picture or through a video.

`detect_faces` is for one picture; `FaceDetector` keeps the networks loaded for many.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.networks import MESH_PIXELS, FaceMesh, PersonNetwork, YuNet
from multitalk.face.search import COARSE_PASSES, SURE_SCORE, Detection, Search
from multitalk.face.transforms import Square, crop, rotate_picture, rotate_points, square_around

MIN_FACE_PIXELS = 28  # the lips of smaller faces are below one pixel

# Crop side / longer side of the detected (or the caller's) box for the first mesh reading, then
# crop sides / longer side of the landmarks' own box for the next three, whose median is steadier
# than one reading. The first two differ most, so that a false face is rejected before the third.
FIRST_MARGIN = 1.4
MARGINS = (1.3, 1.75, 1.5)
TRACKING_MARGIN = 1.4  # follows the voice best in rendered and filmed talks
MAX_DRIFT = 0.15  # face sizes between the first two readings; at most 0.09 on 1251 faces

PRESENT = 0.5  # mesh presence from which a tracked face is accepted without the detector
LOST_MARGIN, LOST_PIXELS = 3.5, 160  # crop in which the detector looks for a lost face
MAX_STEP = 0.5  # face sizes by which a face may move between two frames
MAX_FRAMES_WITHOUT_FACE = 25  # at the beginning, for a video that fades in

VERY_SURE_SCORE = 0.8
FRONT_DEGREES = 25.0  # yaw below which a face counts as frontal
SIDE_DEGREES = 45.0  # yaw above which a face counts as a profile
LARGE_PIXELS = 64  # face size above which frontal readings agree closely


@dataclass(frozen=True)
class ConsistencyLimits:
    """Agreement of repeated mesh readings that makes a detection a face.

    The mesh fits a face to any crop, and its presence output does not separate people in profile
    (rejected) from dogs (accepted). The spread of repeated readings does, if the limit is tighter
    where a face is easy to read: docs/experiments.md.

    Attributes:
        spread: Maximum of `FaceLandmarks.spread`.
        front: Maximum for a large frontal face.
        side: Maximum for a face in profile.
        presence: Minimum of the mesh's presence output in the second reading, which is centred.
    """

    spread: float
    front: float
    side: float
    presence: float = 0.0

    @property
    def widest(self) -> float:
        """The spread above which nothing is a face."""
        return max(self.spread, self.front, self.side)

    def accept(self, face: FaceLandmarks) -> bool:
        """Whether the readings of a face agree well enough."""
        yaw = abs(face.yaw_degrees)
        if yaw > SIDE_DEGREES:
            return face.spread <= self.side
        if yaw < FRONT_DEGREES and face.size > LARGE_PIXELS:
            return face.spread <= self.front
        return face.spread <= self.spread


# Presence below which the mesh is sure that there is no face; profiles are hardly above it.
ABSENT = 0.01

# By the detector's score. Dogs and cats in portraits have a spread of 0.012 to 0.025 from the
# front; of people, only blurred ones do.
TRUSTED_BOX = ConsistencyLimits(0.025, 0.025, 0.025)
VERY_SURE = ConsistencyLimits(0.025, 0.014, 0.03)
SURE = ConsistencyLimits(0.025, 0.014, 0.025)
UNSURE = ConsistencyLimits(0.0125, 0.0125, 0.0125, presence=ABSENT)
UNDETECTED = ConsistencyLimits(0.01, 0.01, 0.01, presence=ABSENT)


def limits_for(score: float) -> ConsistencyLimits:
    """The limits for a detection of this score, 0..1; 0 where the detector has none."""
    if score >= VERY_SURE_SCORE:
        return VERY_SURE
    if score >= SURE_SCORE:
        return SURE
    return UNSURE if score > 0 else UNDETECTED


class FaceDetector:
    """The networks, loaded once; use it as a context manager or call `close`.

    Not thread-safe, but not bound to a thread either. Loading takes about 0.03 s.
    """

    def __init__(self) -> None:
        self._detector = YuNet()
        self._mesh = FaceMesh()

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
        self.__dict__.pop("person", None)

    @cached_property
    def person(self) -> PersonNetwork:
        """The network that separates people from what is behind them, loaded at its first use."""
        return PersonNetwork()

    def detect(self, image: NDArray[np.uint8], *, expected: int = 1) -> list[FaceLandmarks]:
        """Find the faces of one picture.

        Args:
            image: RGB uint8 [H, W, 3].
            expected: How many faces there should be. Slower, finer searches run only while fewer
                were found; more than `expected` may be returned.

        Returns:
            Faces from left to right; empty when there is none.
        """
        return list(self.search(image, expected=expected).full().faces)

    def search(
        self, image: NDArray[np.uint8], *, expected: int = 1, boxes: Sequence[Box] = ()
    ) -> Search:
        """A coarse-to-fine search of one picture; it also reports faces that cannot be read."""
        return Search(self, image, expected=expected, boxes=boxes)

    def faces_elsewhere(
        self, image: NDArray[np.uint8], known: Sequence[FaceLandmarks]
    ) -> tuple[Box, ...]:
        """Boxes, pixels, of upright faces besides the known ones; their landmarks are not read.

        A search for the faces of boxes does not look at the rest of the picture.
        """
        return tuple(
            one.box
            for one in self.locate(image, longer=COARSE_PASSES[0][0])
            if one.score >= SURE_SCORE and not any(face.is_in(one.box) for face in known)
        )

    def locate(
        self, image: NDArray[np.uint8], *, longer: int, quarters: int = 0
    ) -> list[Detection]:
        """The detector's output; see `face.search.FaceModels`."""
        height, width = image.shape[:2]
        scale = longer / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(image, size, interpolation=flags), np.uint8)
        rotated = rotate_picture(small, quarters)
        return [
            _rotated_back(detection, quarters, rotated.shape, (width / size[0], height / size[1]))
            for detection in self._detector.detect(rotated)
        ]

    def verify(self, image: NDArray[np.uint8], detection: Detection) -> FaceLandmarks | None:
        """The landmarks at a detection, or None; see `face.search.FaceModels`."""
        square = Square(detection.x, detection.y, FIRST_MARGIN * detection.size, detection.tilt)
        return self._read_consistently(image, square, limits_for(detection.score))

    def refine(
        self, image: NDArray[np.uint8], x: float, y: float, size: float
    ) -> FaceLandmarks | None:
        """The landmarks of the upright face of about `size` pixels around (x, y).

        Args:
            image: RGB uint8 [H, W, 3].
            x: Centre of the face, pixels.
            y: Centre of the face, pixels.
            size: Longer side of the face's box, pixels.

        Returns:
            The face, or None where the mesh readings do not agree.
        """
        # The caller's position is rough, so one more reading centres the crop.
        first, _ = self._read(image, Square(x, y, FIRST_MARGIN * size))
        square = square_around(first, margin=FIRST_MARGIN)
        return self._read_consistently(image, square, TRUSTED_BOX)

    def follow(self, image: NDArray[np.uint8], before: FaceLandmarks) -> FaceLandmarks | None:
        """The landmarks of a face near its position in the previous frame; None if it is gone.

        One mesh reading at the old position. Presence is low for profiles, so below `PRESENT` the
        detector, which finds profiles in a small crop, decides.
        """
        square = square_around(before.points, margin=TRACKING_MARGIN)
        points, presence = self._read(image, square)
        face = FaceLandmarks(points)
        if presence > PRESENT:
            return face
        nearest = self._nearest_detection(image, before)
        if nearest is None:
            return None
        moved = np.hypot(nearest.x - face.center[0], nearest.y - face.center[1])
        return face if moved < MAX_STEP * face.size else self.verify(image, nearest)

    def _read_consistently(
        self, image: NDArray[np.uint8], square: Square, limits: ConsistencyLimits
    ) -> FaceLandmarks | None:
        """Median of three mesh readings, centred by a first one; None where they disagree.

        Most false detections are rejected before the last reading.
        """
        first, _ = self._read(image, square)
        narrow, presence = self._read(image, square_around(first, margin=MARGINS[0]))
        if presence < limits.presence or _distance(first, narrow) > MAX_DRIFT:
            return None
        readings = [narrow, self._read(image, square_around(first, margin=MARGINS[1]))[0]]
        # The median of three is between any two, so one of these is at least half as far off.
        if _distance(*readings) > 2 * limits.widest:
            return None
        readings.append(self._read(image, square_around(first, margin=MARGINS[2]))[0])
        points = np.median(np.stack(readings), axis=0).astype(np.float32)
        off = max(float(np.abs(one[:, :2] - points[:, :2]).mean()) for one in readings)
        size = FaceLandmarks(points).size
        if size < MIN_FACE_PIXELS:
            return None
        face = FaceLandmarks(points, off / size)
        return face if limits.accept(face) else None

    def _nearest_detection(
        self, image: NDArray[np.uint8], before: FaceLandmarks
    ) -> Detection | None:
        """The detection nearest to a face's last position, in pixels of the picture."""
        square = square_around(before.points, margin=LOST_MARGIN)
        part = crop(image, square, LOST_PIXELS)
        detections = []
        for detection in self.locate(part.pixels, longer=LOST_PIXELS):
            x, y = part.in_picture(np.array([detection.x, detection.y])).tolist()
            size = detection.size * square.side / LOST_PIXELS
            tilt = detection.tilt + square.tilt
            detections.append(detection._replace(x=x, y=y, size=size, tilt=tilt))
        x, y = before.center
        return min(detections, key=lambda one: np.hypot(one.x - x, one.y - y), default=None)

    def _read(self, image: NDArray[np.uint8], square: Square) -> tuple[NDArray[np.float32], float]:
        """Mesh points [478, 3] in pixels of the picture, and the presence score 0..1."""
        part = crop(image, square, MESH_PIXELS)
        points, presence = self._mesh.read(part.pixels)
        depth = points[:, 2:] * (square.side / MESH_PIXELS)
        return np.hstack([part.in_picture(points[:, :2]), depth]).astype(np.float32), presence


def detect_faces(image: NDArray[np.uint8], *, expected: int = 1) -> list[FaceLandmarks]:
    """Find the faces of one picture, from left to right; see `FaceDetector.detect`."""
    with FaceDetector() as detector:
        return detector.detect(image, expected=expected)


def track_faces(
    frames: Iterable[NDArray[np.uint8]], *, detector: FaceDetector, expected: int = 1
) -> Iterator[tuple[FaceLandmarks | None, ...]]:
    """Track everybody who is in the first frame that shows a face.

    One mesh reading per face and frame at its last position, without temporal smoothing: the
    median of three costs three times as much and measures the lips no better.

    Args:
        frames: RGB uint8 [H, W, 3], in order.
        detector: Finds the faces; owned by the caller.
        expected: How many faces there should be; see `FaceDetector.detect`.

    Yields:
        One tuple per frame: the people in their first left-to-right order, None where a face is
        not found; empty before the first face, and throughout if the first 25 frames have none.
    """
    last_seen: list[FaceLandmarks] = []
    for index, frame in enumerate(frames):
        if not last_seen:
            if index < MAX_FRAMES_WITHOUT_FACE:
                last_seen = detector.detect(frame, expected=expected)
            yield tuple(last_seen)
            continue
        faces = tuple(detector.follow(frame, face) for face in last_seen)
        last_seen = [now or before for now, before in zip(faces, last_seen, strict=True)]
        yield faces


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Mean absolute difference of two readings along an axis, in sizes of their common box."""
    both = np.vstack([one, other])[:, :2]
    size = float((both.max(0) - both.min(0)).max())
    return float(np.abs(one[:, :2] - other[:, :2]).mean()) / max(size, 1e-6)


def _rotated_back(
    detection: Detection, quarters: int, shape: Sequence[int], scales: tuple[float, float]
) -> Detection:
    """Map a detection in a scaled and rotated picture back to the original picture.

    Args:
        detection: In the rotated picture.
        quarters: Clockwise quarter turns of the rotated picture.
        shape: Of the rotated picture.
        scales: Original pixels per scaled pixel, across and down.
    """
    middle = np.array([[detection.x + 0.5, detection.y + 0.5]])
    x, y = (rotate_points(middle, -quarters, shape)[0] * scales - 0.5).tolist()
    tilt = (detection.tilt - quarters * np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    size = detection.size * (scales[0] + scales[1]) / 2
    return Detection(x, y, size, detection.score, float(tilt))
