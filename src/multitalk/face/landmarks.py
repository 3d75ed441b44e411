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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.errors import EngineUnavailable
from multitalk.face.points import Box, FaceLandmarks
from multitalk.face.search import SURE_SCORE, Found, Place, find_faces

__all__ = ["MIN_FACE_PIXELS", "FaceDetector", "FaceLandmarks", "detect_faces"]

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
MAX_SPREAD_IN_DOUBT = 0.006  # where the detector is less than sure

# There is one descriptor 2, so one thread at a time may hold it back.
_STDERR_LOCK = threading.Lock()
# Lines of MediaPipe's C++ parts, which no setting silences.
_NATIVE_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:\d\d:\d\d\.|"
    rb"[IWE]0000 00:00:\d+\.\d+ |INFO: Created TensorFlow Lite"
)


class FaceDetector:
    """The detectors and the mesh, loaded once; use it as a context manager or call `close`.

    One call at a time: a detector may move between threads, but two threads may not use the same
    one at once. Making one takes about 0.1 s, and the first one of a process 1-2 s (the import).

    Raises:
        EngineUnavailable: MediaPipe is not installed.
    """

    def __init__(self) -> None:
        solutions = load_mediapipe()
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
        return list(self.search(image, expected=expected).faces)

    def search(
        self,
        image: NDArray[np.uint8],
        *,
        expected: int = 1,
        boxes: Sequence[Box] = (),
        closely: bool = True,
    ) -> Found:
        """Find the faces of one picture, and where one is seen only; see `face.search`."""
        return find_faces(self, image, expected=expected, boxes=boxes, closely=closely)

    def places(self, image: NDArray[np.uint8], *, whole: bool) -> list[Place]:
        """Where the detectors see faces; see `face.search.Networks`."""
        return self._near.places(image) + (self._far.places(image) if whole else [])

    def verified(self, image: NDArray[np.uint8], place: Place) -> FaceLandmarks | None:
        """The points of the face at a place, or None; see `face.search.Networks`."""
        limit = MAX_SPREAD if place.score >= SURE_SCORE else MAX_SPREAD_IN_DOUBT
        return self.refine(image, place.x, place.y, place.size, max_spread=limit)

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
        for _look in range(2):
            seen: list[NDArray[np.float32]] = []
            for number, margin in enumerate(CROP_MARGINS):
                one = self._mesh_in_crop(image, x, y, size * margin)
                if one is not None:
                    seen.append(one)
                if len(seen) + len(CROP_MARGINS) - 1 - number < 2:  # two must see it
                    return None
            points = np.median(np.stack(seen), axis=0).astype(np.float32)  # [478, 3]
            face = FaceLandmarks(points)
            x, y = face.center
            size = face.size
        spread = max(float(np.abs(one[:, :2] - points[:, :2]).mean()) for one in seen) / size
        if size < MIN_FACE_PIXELS or spread > max_spread:
            return None
        return FaceLandmarks(points, spread)

    def follow(self, image: NDArray[np.uint8], before: FaceLandmarks) -> FaceLandmarks | None:
        """Find a face near where it was in the frame before, in one crop; None if it is gone."""
        x, y = before.center
        size = before.size
        for margin in (CROP_MARGINS[1], LOST_MARGIN):
            points = self._mesh_in_crop(image, x, y, size * margin)
            if points is not None:
                return FaceLandmarks(points)
        return None

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

    def places(self, image: NDArray[np.uint8]) -> list[Place]:
        """Where a detector sees faces."""
        height, width = image.shape[:2]
        found = []
        for detection in self.process(image).detections or []:
            box = detection.location_data.relative_bounding_box
            box_width, box_height = box.width * width, box.height * height
            found.append(
                Place(
                    x=box.xmin * width + box_width / 2,
                    y=box.ymin * height + box_height / 2,
                    size=max(box_width, box_height),
                    score=detection.score[0],
                )
            )
        return found

    def close(self) -> None:
        self._solution.close()


def load_mediapipe() -> Any:
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
