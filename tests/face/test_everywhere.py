"""The points of a face are the same on every processor, system and OpenCV."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multitalk.face.detector import detect_faces

EXAMPLES = Path(__file__).parents[2] / "examples"

# x and y in pixels: the brow between the eyes, the nose's tip, upper and lower lip, the mouth's
# corners, the outer corners of the eyes, chin and forehead
POINTS = (9, 4, 13, 14, 61, 291, 33, 263, 152, 10)
SEEN = {
    "astronaut.jpg": [
        (225.5, 90.6),
        (223.7, 127.2),
        (223.3, 143.2),
        (222.6, 150.3),
        (202.3, 139.4),
        (244.9, 141.0),
        (195.3, 100.7),
        (255.2, 103.8),
        (221.1, 179.0),
        (226.3, 70.8),
    ],
    "portrait.jpg": [
        (369.1, 218.0),
        (364.8, 305.6),
        (363.7, 344.4),
        (362.1, 360.3),
        (313.9, 335.5),
        (414.9, 339.2),
        (297.1, 242.4),
        (440.4, 250.0),
        (358.1, 429.8),
        (371.2, 169.0),
    ],
}


@pytest.mark.parametrize("picture", SEEN)
def test_points_are_where_they_are_on_any_machine(picture: str) -> None:
    (face,) = detect_faces(np.asarray(Image.open(EXAMPLES / picture).convert("RGB")))
    off = np.abs(face.points[list(POINTS), :2] - np.array(SEEN[picture])).max()
    assert off < 0.01 * face.height
