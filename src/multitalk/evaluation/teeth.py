"""Do teeth show? Bright, pale pixels between the lips."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

MIN_FACE_PIXELS = 100  # of the face height: in smaller mouths a row of teeth is a pixel or two
SHOWN = 0.001  # of the face height squared: teeth of less are not noticed

# These find no teeth between closed lips, and miss dim ones (docs/evaluation.md).
_BRIGHT = 0.5  # of the skin's luma; a mouth's inside is darker
_PALE = 0.02  # redness that skin has at least; less is light without colour
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)
_GAP = list(mesh.LIPS_INNER_UPPER + mesh.LIPS_INNER_LOWER[-2:0:-1])  # outline of what lies between


def teeth_area(frame: NDArray[np.uint8], face: FaceLandmarks) -> float:
    """Area of the teeth that show, in face heights squared; NaN where it cannot be seen.

    A pixel between the lips is a tooth's where it has half the luma of the cheeks at least, and is
    less red than they are: lips, gums and tongue are redder. Redness is (R - G) / (R + G + B).

    Args:
        frame: RGB uint8 [H, W, 3].
        face: Where the face is; under 100 pixels high nothing is said.
    """
    height, width = frame.shape[:2]
    outline = face.points[_GAP, :2]
    left, top = np.maximum(np.floor(outline.min(0)), 0).astype(int).tolist()
    right, bottom = np.ceil(outline.max(0)).astype(int).tolist()
    part = frame[top : bottom + 1, left : right + 1]
    if face.height < MIN_FACE_PIXELS or not part.size:
        return float("nan")
    between = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(between, [np.round((outline - (left, top)) * 16).astype(np.int32)], 1, shift=4)
    columns, rows = face.points[list(mesh.CHEEKS), :2].astype(int).T
    cheeks = frame[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    skin = np.median(cheeks, axis=0).astype(np.float32)
    redness = max(float(skin[0] - skin[1]) / max(float(skin.sum()), 1.0), _PALE)
    pixels = part[between > 0].astype(np.float32)  # [P, 3]
    bright = pixels @ _LUMA > _BRIGHT * float(skin @ _LUMA)
    pale = pixels[:, 0] - pixels[:, 1] < redness * pixels.sum(axis=1)
    return float((bright & pale).sum()) / face.height**2
