"""The networks, run by OpenCV: YuNet, Face Mesh V2, and MediaPipe Selfie Segmentation.

The first detects faces, the second reads landmarks, the third tells people from what is behind.

`tools/face_models` makes their files.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face.search import Detection
from multitalk.face.transforms import tilt_of

MODELS = Path(__file__).parent / "models"
STRIDES = (8, 16, 32)  # pixels per cell of the detector's three grids
MIN_SCORE = 0.6  # detections below are mostly false
MAX_IOU = 0.3  # non-maximum suppression threshold

MESH_PIXELS = 256
PERSON_PIXELS = 256


class MeshOutput(NamedTuple):
    """The mesh's output for one crop.

    Attributes:
        points: float64 [478, 3]: x, y and z in pixels of the crop.
        presence: Confidence that this is a face, 0..1; near 0 for faces in profile, too.
    """

    points: NDArray[np.float64]
    presence: float


class YuNet:
    """Finds faces of 10 to 300 pixels, tilted by up to 50 degrees, in a picture of any size."""

    def __init__(self) -> None:
        self._network = _load("detector")
        self._outputs = [
            f"{kind}_{step}" for kind in ("cls", "obj", "bbox", "kps") for step in STRIDES
        ]

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Detections by falling score.

        Args:
            image: RGB uint8 [H, W, 3].
        """
        below, right = -image.shape[0] % STRIDES[-1], -image.shape[1] % STRIDES[-1]
        whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)
        columns = whole.shape[1]
        self._network.setInput(cv2.dnn.blobFromImage(whole, swapRB=True))
        outputs = [np.asarray(made, np.float32) for made in self._network.forward(self._outputs)]
        found = [
            _decode(*outputs[index :: len(STRIDES)], step=step, columns=columns // step)
            for index, step in enumerate(STRIDES)
        ]
        scores, boxes, marks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if not len(scores):
            return []
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), MIN_SCORE, MAX_IOU)
        return [_detection(scores[i], boxes[i], marks[i]) for i in np.asarray(kept).reshape(-1)]


class FaceMesh:
    """Reads the landmarks of the one face that fills most of a crop."""

    def __init__(self) -> None:
        self._network = _load("mesh")

    def read(self, pixels: NDArray[np.uint8]) -> MeshOutput:
        """Run the network.

        Args:
            pixels: RGB uint8 [256, 256, 3].
        """
        self._network.setInput(cv2.dnn.blobFromImage(pixels, 1 / 255))
        points, presence = self._network.forward(["points", "presence"])
        logit = float(np.clip(presence.reshape(-1)[0], -50, 50))
        return MeshOutput(points.reshape(-1, 3).astype(np.float64), float(1 / (1 + np.exp(-logit))))


class PersonNetwork:
    """Says which pixels of a picture show a person."""

    def __init__(self) -> None:
        self._network = _load("segmentation")

    def probability(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability that a pixel shows a person, 0..1: float32 [H, W].

        Args:
            image: RGB uint8 [H, W, 3] of any shape; the network sees it at 256 x 256.
        """
        height, width = image.shape[:2]
        size = (PERSON_PIXELS, PERSON_PIXELS)
        square = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        self._network.setInput(cv2.dnn.blobFromImage(square, 1 / 255))
        made = np.asarray(self._network.forward()[0, 0], np.float32)
        whole = cv2.resize(made, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole, np.float32)


def _load(name: str) -> cv2.dnn.Net:
    return cv2.dnn.readNetFromONNX(str(MODELS / f"{name}.onnx"))


def _decode(
    classes: NDArray[np.float32],
    objects: NDArray[np.float32],
    boxes: NDArray[np.float32],
    marks: NDArray[np.float32],
    *,
    step: int,
    columns: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """One grid's scores [N], boxes [N, 4] (left, top, width, height) and marks [N, 5, 2]."""
    score = np.sqrt(np.clip(classes.reshape(-1), 0, 1) * np.clip(objects.reshape(-1), 0, 1))
    sure = score >= MIN_SCORE
    row, column = np.divmod(np.flatnonzero(sure), columns)
    cell = np.stack([column, row], 1).astype(np.float32)
    box = boxes.reshape(-1, 4)[sure]
    size = np.exp(box[:, 2:]) * step
    middle = (cell + box[:, :2]) * step
    five = (marks.reshape(-1, 5, 2)[sure] + cell[:, None]) * step
    return score[sure], np.concatenate([middle - size / 2, size], 1), five


def _detection(
    score: np.floating, box: NDArray[np.float32], marks: NDArray[np.float32]
) -> Detection:
    """A detection from a box and its five marks: eyes, nose and the mouth's corners."""
    x, y = (box[:2] + box[2:] / 2 - 0.5).tolist()
    tilt = tilt_of(marks[:2].mean(0), marks[3:].mean(0))
    return Detection(x, y, float(box[2:].max()), float(score), tilt)
