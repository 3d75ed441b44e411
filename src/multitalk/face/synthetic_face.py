"""A face drawn with a few shapes: enough for the face models, so that a self-test needs no file."""

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND = (150, 170, 190)
SKIN, SHADE, BROW = (224, 172, 140), (190, 132, 104), (70, 45, 30)
SHIRT, LIPS, MOUTH = (60, 70, 110), (185, 85, 85), (120, 50, 50)
WHITE, IRIS = (250, 250, 250), (60, 40, 25)


def draw_face(size: int) -> NDArray[np.uint8]:
    """Draw a frontal face with closed lips.

    Returns:
        RGB uint8 [size, size, 3]; the face is about half as high.
    """
    image = np.full((size, size, 3), BACKGROUND, np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * size), round(y * size)

    def ellipse(
        center: tuple[float, float],
        radii: tuple[float, float],
        color: tuple[int, int, int],
        *,
        arc: tuple[int, int] = (0, 360),
        line: float = 0.0,
    ) -> None:
        thickness = max(1, round(line * size)) if line else cv2.FILLED
        cv2.ellipse(image, at(*center), at(*radii), 0, *arc, color, thickness)

    cv2.rectangle(image, at(0.42, 0.7), at(0.58, 0.95), SKIN, cv2.FILLED)
    ellipse((0.5, 1.02), (0.33, 0.17), SHIRT, arc=(180, 360))
    ellipse((0.5, 0.42), (0.235, 0.33), BROW)  # hair
    ellipse((0.5, 0.5), (0.2, 0.285), SKIN)
    for x in (0.42, 0.58):
        ellipse((x, 0.46), (0.038, 0.018), WHITE)
        ellipse((x, 0.46), (0.017, 0.017), IRIS)
        ellipse((x, 0.46), (0.038, 0.018), BROW, arc=(180, 360), line=0.004)
        ellipse((x, 0.425), (0.05, 0.016), BROW, arc=(190, 350), line=0.012)
    ellipse((0.5, 0.58), (0.032, 0.016), SHADE, arc=(0, 180), line=0.008)  # nose
    ellipse((0.5, 0.665), (0.07, 0.02), LIPS)
    cv2.line(image, at(0.43, 0.665), at(0.57, 0.665), MOUTH, max(1, round(0.004 * size)))
    return cv2.GaussianBlur(image, (0, 0), size / 240).astype(np.uint8, copy=False)
