"""A real face, rigged once for all tests of the warp engine."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig, build_rig
from multitalk.face.detector import FaceDetector, detect_faces
from multitalk.face.landmarks import FaceLandmarks

ASTRONAUT = Path(__file__).parents[3] / "examples" / "astronaut.jpg"


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """A smiling, open-mouthed face about 220 pixels high: the astronaut's head, enlarged."""
    whole = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    row, column = detect_faces(whole)[0].points[:, 1::-1].mean(0).astype(int)
    head = whole[max(0, row - 110) : row + 110, max(0, column - 110) : column + 110]
    return cv2.resize(head, (440, 440), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


@pytest.fixture(scope="session")
def face(portrait: NDArray[np.uint8]) -> FaceLandmarks:
    return detect_faces(portrait)[0]


@pytest.fixture(scope="session")
def rig(portrait: NDArray[np.uint8], face: FaceLandmarks) -> Rig:
    return build_rig(face, picture_size=portrait.shape[:2])


@pytest.fixture(scope="session")
def renderer(portrait: NDArray[np.uint8], rig: Rig) -> HeadRenderer:
    """One for all tests, as for all frames of a talk: no picture depends on an earlier one."""
    return HeadRenderer(portrait, rig)


@pytest.fixture(scope="session")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as detector:
        yield detector
