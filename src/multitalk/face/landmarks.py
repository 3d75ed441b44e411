"""Where the faces of a picture are: 478 points per person, by MediaPipe's face mesh.

`detect_faces` is for one picture; `FaceDetector` keeps the networks loaded for many. MediaPipe is
known to this module only.
"""

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.errors import EngineUnavailable
from multitalk.face import mesh

logger = logging.getLogger(__name__)

MIN_FACE_PIXELS = 28  # smaller ones are found too, but their lips are below one pixel

# A face takes this much of the square crops in which its points are found; the median over three
# of them is steadier than one.
CROP_PIXELS = 480
CROP_MARGINS = (1.7, 1.9, 2.2)  # crop side / face size
LOST_MARGIN = 3.5  # of the crop in which a face is looked for that has moved away

# On what is no face the three crops disagree. Mean distance to the median in face sizes, measured:
# frontal faces under 0.004, one turned by 53 degrees 0.011, round things that the detectors took
# for faces 0.009 (a cell, score 0.51) to 0.028 (a headlight, score 0.76).
MAX_SPREAD = 0.015
MAX_SPREAD_IN_DOUBT = 0.006
DOUBTFUL_SCORE = 0.7

# Tiles, as parts of the picture's shorter side, in which faces are looked for when the full
# frame shows too few. The detectors see 128 or 192 pixels, whatever the tile's size.
TILE_PARTS = (1, 2, 3, 5, 8)
MIN_TILE_PIXELS = 160
TILE_OVERLAP = 1.5  # tiles per tile length

# There is one descriptor 2, so one thread at a time may hold it back.
_STDERR_LOCK = threading.Lock()
# Lines of MediaPipe's C++ parts, which no setting silences.
_NATIVE_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:\d\d:\d\d\.|"
    rb"[IWE]0000 00:00:\d+\.\d+ |INFO: Created TensorFlow Lite"
)


@dataclass(frozen=True)
class FaceLandmarks:
    """One face.

    Attributes:
        points: float32 [478, 3]: x, y in pixels of the picture; z in pixels of the same scale,
            smaller toward the camera, 0 at the head's centre. `face.mesh` names the points.
    """

    points: NDArray[np.float32]

    @cached_property
    def height(self) -> float:
        """From the forehead's top to the chin in 3-D, in pixels: the "face height"."""
        return self._distance(mesh.FOREHEAD_TOP, mesh.CHIN)

    @cached_property
    def width(self) -> float:
        """Between the cheeks, where the face is widest, in 3-D, in pixels."""
        return self._distance(mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)

    @property
    def mouth_opening(self) -> float:
        """Gap between the lips in their middle, in face heights."""
        return self._distance(mesh.INNER_UPPER_LIP, mesh.INNER_LOWER_LIP) / self.height

    @property
    def mouth_width(self) -> float:
        """Between the mouth's corners, in face heights."""
        return self._distance(mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER) / self.height

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box (x, y) in pixels."""
        x_min, y_min, x_max, y_max = self.box
        return (x_min + x_max) / 2, (y_min + y_max) / 2

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """x_min, y_min, x_max, y_max of all points, in pixels."""
        x_min, y_min = self.points[:, :2].min(0).tolist()
        x_max, y_max = self.points[:, :2].max(0).tolist()
        return x_min, y_min, x_max, y_max

    @property
    def yaw_degrees(self) -> float:
        """Turn of the head: 0 is frontal, positive faces the right edge of the picture."""
        across = self.head_axes[0]
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    @property
    def pitch_degrees(self) -> float:
        """Nod of the head: positive looks down."""
        down = self.head_axes[1]
        return float(np.degrees(np.arctan2(down[2], np.hypot(down[0], down[1]))))

    @property
    def roll_degrees(self) -> float:
        """Tilt of the head: positive is clockwise in the picture."""
        across = self.head_axes[0]
        return float(np.degrees(np.arctan2(across[1], across[0])))

    @cached_property
    def head_axes(self) -> NDArray[np.float32]:
        """Orthonormal axes [3, 3] of the head: across (to the person's left), down, backward."""
        points = self.points
        across = (
            points[mesh.LEFT_CHEEK]
            - points[mesh.RIGHT_CHEEK]
            + points[mesh.LEFT_EYE_OUTER]
            - points[mesh.RIGHT_EYE_OUTER]
        )
        across = across / np.linalg.norm(across)
        down = points[mesh.CHIN] - points[mesh.FOREHEAD_TOP]
        down = down - (down @ across) * across
        down = down / np.linalg.norm(down)
        return np.stack([across, down, np.cross(across, down)]).astype(np.float32)

    def _distance(self, first: int, second: int) -> float:
        return float(np.linalg.norm(self.points[first] - self.points[second]))


class FaceDetector:
    """The detectors and the mesh, loaded once; use it as a context manager or call `close`.

    One call at a time: a detector may move between threads, but two threads may not use the same
    one at once. Making one takes about 0.1 s, and the first one of a process 1-2 s (the import).

    Raises:
        EngineUnavailable: MediaPipe is not installed.
    """

    def __init__(self) -> None:
        solutions = _load_mediapipe()
        # Near: faces within about 2 m of a phone's camera. Far: small ones and those turned away.
        self._near = _Graph(
            solutions.face_detection.FaceDetection, model_selection=0, min_detection_confidence=0.5
        )
        self._far = _Graph(
            solutions.face_detection.FaceDetection, model_selection=1, min_detection_confidence=0.5
        )
        self._mesh = _Graph(
            solutions.face_mesh.FaceMesh,
            static_image_mode=True,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=0.3,
        )

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
        for graph in (self._near, self._far, self._mesh):
            graph.close()

    def detect(self, image: NDArray[np.uint8], *, expected: int = 1) -> list[FaceLandmarks]:
        """Find the faces of one picture.

        Args:
            image: RGB uint8 [H, W, 3].
            expected: How many faces there should be. Tiles of the picture are searched, from
                large to small, only while fewer were found; more than `expected` may come back.

        Returns:
            Faces from left to right; empty when there is none.
        """
        found: list[FaceLandmarks] = []
        tried: list[_Place] = []
        for places in self._search(image):
            for place in sorted(places, key=lambda place: -place.score):
                if any(_same_place(place, other) for other in tried):
                    continue
                tried.append(place)
                sure = place.score >= DOUBTFUL_SCORE
                face = self.refine(
                    image,
                    place.x,
                    place.y,
                    place.size,
                    max_spread=MAX_SPREAD if sure else MAX_SPREAD_IN_DOUBT,
                )
                if face is not None and not any(_same_face(face, other) for other in found):
                    found.append(face)
            if len(found) >= expected:
                break
        return sorted(found, key=lambda face: face.center[0])

    def refine(
        self,
        image: NDArray[np.uint8],
        x: float,
        y: float,
        size: float,
        *,
        max_spread: float = MAX_SPREAD,
    ) -> FaceLandmarks | None:
        """Find the points of the face of about `size` pixels around (x, y).

        The face is looked at twice: the first look tells where the crops of the second are.

        Args:
            image: RGB uint8 [H, W, 3].
            x: Centre of the face, in pixels.
            y: Centre of the face, in pixels.
            size: Longer side of the face's box, in pixels.
            max_spread: How far the crops' points may be from their median, in face sizes.

        Returns:
            The face, or None where the mesh does not see one.
        """
        face: FaceLandmarks | None = None
        for _look in range(2):
            crops = [self._mesh_in_crop(image, x, y, size * margin) for margin in CROP_MARGINS]
            seen = [points for points in crops if points is not None]
            if len(seen) < 2:
                return None
            points = np.median(np.stack(seen), axis=0).astype(np.float32)  # [478, 3]
            face = FaceLandmarks(points)
            x, y = face.center
            size = _longer_side(face)
        spread = max(float(np.abs(one[:, :2] - points[:, :2]).mean()) for one in seen)
        if size < MIN_FACE_PIXELS or spread > max_spread * size:
            return None
        return face

    def follow(self, image: NDArray[np.uint8], before: FaceLandmarks) -> FaceLandmarks | None:
        """Find a face near where it was in the frame before, in one crop; None if it is gone."""
        x, y = before.center
        size = _longer_side(before)
        for margin in (CROP_MARGINS[1], LOST_MARGIN):
            points = self._mesh_in_crop(image, x, y, size * margin)
            if points is not None:
                return FaceLandmarks(points)
        return None

    def _search(self, image: NDArray[np.uint8]) -> Iterator[list["_Place"]]:
        """Yield what the detectors see: the full frame first, then ever smaller tiles."""
        height, width = image.shape[:2]
        yield self._near.places(image, 0, 0) + self._far.places(image, 0, 0)
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
                for place in self._near.places(
                    image[top : top + side, left : left + side], left, top
                )
            ]

    def _mesh_in_crop(
        self, image: NDArray[np.uint8], x: float, y: float, side: float
    ) -> NDArray[np.float32] | None:
        """The mesh [478, 3] seen in the square of `side` pixels around (x, y), or None."""
        scale = CROP_PIXELS / side
        left, top = x - side / 2, y - side / 2
        to_crop = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        crop: Any = cv2.warpAffine(
            image,
            to_crop,
            (CROP_PIXELS, CROP_PIXELS),
            flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        faces = self._mesh.process(crop).multi_face_landmarks
        if not faces:
            return None
        points = np.array([[p.x, p.y, p.z] for p in faces[0].landmark], np.float32) * side
        points[:, :2] += (left, top)
        return points


def detect_faces(image: NDArray[np.uint8], *, expected: int = 1) -> list[FaceLandmarks]:
    """Find the faces of one picture, from left to right; see `FaceDetector.detect`."""
    with FaceDetector() as detector:
        return detector.detect(image, expected=expected)


class _Place(NamedTuple):
    """Where a detector sees a face: centre and size in pixels, and how sure it is."""

    x: float
    y: float
    size: float
    score: float


class _Graph:
    """One of MediaPipe's graphs; keeps its first calls quiet, when it writes to stderr."""

    def __init__(self, solution: Any, **options: object) -> None:
        with _without_native_noise():
            self._solution = solution(**options)
            # Its threads speak until the first picture is done, so one is given to it here.
            self._solution.process(np.zeros((64, 64, 3), np.uint8))
        self._saw_face = False

    def process(self, image: NDArray[np.uint8]) -> Any:
        if self._saw_face:
            return self._solution.process(np.ascontiguousarray(image))
        with _without_native_noise():  # it speaks once more when it sees its first face
            result = self._solution.process(np.ascontiguousarray(image))
        self._saw_face = any(getattr(result, name) for name in result._fields)
        return result

    def places(self, image: NDArray[np.uint8], left: int, top: int) -> list[_Place]:
        """Where a detector sees faces in a tile whose corner is at (left, top)."""
        height, width = image.shape[:2]
        found = []
        for detection in self.process(image).detections or []:
            box = detection.location_data.relative_bounding_box
            box_width, box_height = box.width * width, box.height * height
            found.append(
                _Place(
                    x=left + box.xmin * width + box_width / 2,
                    y=top + box.ymin * height + box_height / 2,
                    size=max(box_width, box_height),
                    score=detection.score[0],
                )
            )
        return found

    def close(self) -> None:
        self._solution.close()


def _load_mediapipe() -> Any:
    """Import MediaPipe's solutions: 1-2 s the first time.

    Raises:
        EngineUnavailable: It is not installed.
    """
    try:
        with _without_native_noise():
            from mediapipe.python import solutions  # noqa: PLC0415 - heavy, and not always there
    except ImportError as error:
        raise EngineUnavailable("mediapipe_missing", module=error.name or "mediapipe") from error
    return solutions


@contextmanager
def _without_native_noise() -> Iterator[None]:
    """Hold back what native code writes to file descriptor 2, and drop MediaPipe's log lines.

    TFLite and absl log to the descriptor itself and read no setting from the environment. What
    others write meanwhile is passed on afterwards. The descriptor belongs to the process, so this
    is used only around the first calls.
    """
    with _STDERR_LOCK, tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _NATIVE_NOISE.match(line):
                    os.write(2, line)


def _tile_starts(length: int, side: int) -> list[int]:
    count = max(1, int(np.ceil(length / side * TILE_OVERLAP))) if length > side else 1
    return sorted({int(start) for start in np.linspace(0, length - side, count)})


def _same_place(first: _Place, second: _Place) -> bool:
    apart = np.hypot(first.x - second.x, first.y - second.y)
    return bool(apart < 0.5 * max(first.size, second.size))


def _same_face(first: FaceLandmarks, second: FaceLandmarks) -> bool:
    apart = np.hypot(*np.subtract(first.center, second.center))
    return bool(apart < 0.5 * max(_longer_side(first), _longer_side(second)))


def _longer_side(face: FaceLandmarks) -> float:
    x_min, y_min, x_max, y_max = face.box
    return max(x_max - x_min, y_max - y_min)
