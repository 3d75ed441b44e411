"""Which way up a face is, is judged by how well looks at it agree."""

import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.face.points import FaceLandmarks
from multitalk.face.way_up import CONFIDENT_SPREAD, quarters_to_upright

# Brighter to the right, so that each part of it says how it was turned.
PICTURE = np.repeat(np.linspace(0, 255, 400, dtype=np.uint8)[None, :, None], 400, 0).repeat(3, 2)

SHAPE = np.zeros((478, 3), np.float32)
SHAPE[10], SHAPE[152] = (0, -50, 0), (0, 50, 0)  # forehead, chin
SHAPE[234], SHAPE[454] = (-40, 0, 0), (40, 0, 0)  # cheeks
SHAPE[33], SHAPE[263] = (-20, -10, 0), (20, -10, 0)  # eyes


def face(*, spread: float, x: float = 200, y: float = 200, roll: float = 0.0) -> FaceLandmarks:
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    points = SHAPE @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
    return FaceLandmarks((points + np.float32([x, y, 0])).astype(np.float32), spread)


def quarters_of(image: NDArray[np.uint8]) -> int:
    """How a part of `PICTURE` was turned, whatever it is tilted by."""
    across = float(image[:, -1].mean() - image[:, 0].mean())
    down = float(image[-1].mean() - image[0].mean())
    return int(np.argmax([across, down, -across, -down]))


class Mesh:
    """Sees an upright face at each right angle, more or less sharply and more or less steadily.

    Args:
        sees: For each quarter turn at which it sees one, the spread, and by how many pixels the
            points move from look to look.
    """

    def __init__(self, sees: dict[int, tuple[float, float]]) -> None:
        self._sees = sees
        self.looks: list[int] = []

    def refine(
        self, image: NDArray[np.uint8], x: float, y: float, size: float
    ) -> FaceLandmarks | None:
        quarters = quarters_of(image)
        self.looks.append(quarters)
        if quarters not in self._sees:
            return None
        spread, moves = self._sees[quarters]
        return face(spread=spread, x=x + moves * (len(self.looks) % 3 - 1), y=y)


@pytest.mark.parametrize(
    ("roll", "quarters"), [(90, 3), (-90, 1), (180, 2), (-170, 2), (60, 3), (50, 0), (-50, 0)]
)
def test_a_face_that_lies_says_itself_how_to_turn(roll: float, quarters: int) -> None:
    mesh = Mesh({})
    assert quarters_to_upright(mesh, PICTURE, face(spread=0.001, roll=roll)) == quarters
    assert mesh.looks == []


def test_a_sharp_face_is_upright_without_a_second_look() -> None:
    mesh = Mesh({2: (0.0001, 0.0)})
    assert quarters_to_upright(mesh, PICTURE, face(spread=CONFIDENT_SPREAD)) == 0
    assert mesh.looks == []


@pytest.mark.parametrize(
    ("sees", "quarters"),
    [
        ({0: (0.011, 1.0), 2: (0.004, 0.1)}, 2),  # chin for forehead
        ({0: (0.011, 1.0), 2: (0.011, 0.1)}, 2),  # as sharp by chance, but steadier
        ({0: (0.011, 1.0), 2: (0.004, 0.9)}, 2),  # as steady by chance, but sharper
        ({0: (0.011, 0.1), 2: (0.011, 1.0)}, 0),  # upright
        ({0: (0.011, 1.0), 2: (0.011, 0.9)}, 0),  # no saying: as it was sent
        ({0: (0.011, 0.1), 2: (0.05, 0.0)}, 0),  # nothing like as sharp the other way up
        ({0: (0.011, 1.0)}, 0),  # nobody there the other way up
        ({2: (0.011, 0.1)}, 2),  # gone at a second look, and there the other way up
        ({0: (0.011, 1.0), 1: (0.004, 0.1)}, 0),  # that sharp, nobody lies on the side
        ({0: (0.024, 1.0), 1: (0.004, 0.1)}, 1),
        ({0: (0.024, 2.0), 1: (0.008, 0.9), 2: (0.008, 0.2), 3: (0.008, 0.9)}, 2),
    ],
)
def test_of_the_right_angles_the_steadiest_is_right(
    sees: dict[int, tuple[float, float]], quarters: int
) -> None:
    seen = face(spread=sees.get(0, (0.011, 0.0))[0])
    assert quarters_to_upright(Mesh(sees), PICTURE, seen) == quarters


def test_a_face_at_the_edge_of_the_picture_is_looked_at_too() -> None:
    for x, y in ((10, 10), (390, 200), (200, 395)):
        seen = face(spread=0.011, x=x, y=y)
        assert quarters_to_upright(Mesh({0: (0.011, 1.0), 2: (0.004, 0.1)}), PICTURE, seen) == 2
