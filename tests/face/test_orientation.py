"""A picture is set upright by its faces, and stays as it is where they are upright."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.orientation import CONFIDENT_SPREAD, find_upright, quarters_to_upright
from multitalk.face.search import SearchResult
from multitalk.face.transforms import rotate_picture

NOSE_TIP = 1  # of the mesh

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> NDArray[np.uint8]:
    return np.ascontiguousarray(cv2.imread(str(EXAMPLES / name))[:, :, ::-1], np.uint8)


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as detector:
        yield detector


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["astronaut.jpg", "portrait.jpg"])
def test_a_photo_is_set_upright_from_each_right_angle(
    detector: FaceDetector, name: str, quarters: int
) -> None:
    picture = load(name)
    upright = find_upright(detector, rotate_picture(picture, quarters))
    assert upright.quarters == -quarters % 4
    assert upright.degrees == 90 * upright.quarters
    np.testing.assert_array_equal(upright.picture, picture)
    (face,) = upright.found.faces
    assert abs(face.roll_degrees) < 15


def test_two_people_upside_down_are_both_set_upright(detector: FaceDetector) -> None:
    head = load("astronaut.jpg")[30:250, 120:330]
    pair = np.concatenate([head, head[:, ::-1]], 1)
    upright = find_upright(detector, rotate_picture(pair, 2), expected=2)
    assert upright.quarters == 2
    assert len(upright.found.faces) == 2


@pytest.mark.parametrize("degrees", [-45, -25, 25, 45])
def test_a_head_that_leans_is_left_as_it_is(detector: FaceDetector, degrees: int) -> None:
    turn = cv2.getRotationMatrix2D((223, 115), -degrees, 1.0)
    leaning = cv2.warpAffine(load("astronaut.jpg"), turn, (512, 512)).astype(np.uint8)
    upright = find_upright(detector, leaning)
    assert upright.quarters == 0
    assert len(upright.found.faces) == 1


def test_the_face_of_a_large_picture_is_in_that_pictures_pixels(detector: FaceDetector) -> None:
    small = load("portrait.jpg")
    large = cv2.resize(small, None, fx=2.5, fy=2.5).astype(np.uint8)
    (face,) = find_upright(detector, large).found.faces
    (expected,) = detector.detect(small)
    assert face.height == pytest.approx(2.5 * expected.height, rel=0.02)
    assert face.center == pytest.approx([2.5 * place for place in expected.center], abs=5)


def test_a_box_is_in_pixels_of_the_picture_that_was_given(detector: FaceDetector) -> None:
    head = load("astronaut.jpg")[30:250, 120:330]
    pair = rotate_picture(np.concatenate([head, head[:, ::-1]], 1), 1)  # 220 wide, 420 high
    below: Box = (0, 210, 220, 420)
    upright = find_upright(detector, pair, boxes=[below])
    assert upright.quarters == 3
    boxes = [upright.box_as_sent(face.box) for face in upright.found.faces]
    assert any(below[1] < (box[1] + box[3]) / 2 < below[3] for box in boxes)


@pytest.mark.parametrize(("below_the_nose", "speaks"), [(0, False), (20, False), (100, True)])
def test_a_face_without_its_mouth_is_seen_and_cannot_speak(
    detector: FaceDetector, below_the_nose: int, *, speaks: bool
) -> None:
    picture = load("portrait.jpg")
    (whole,) = detector.detect(picture)
    bottom = round(float(whole.points[NOSE_TIP, 1])) + below_the_nose
    upright = find_upright(detector, picture[:bottom].copy())
    assert upright.quarters == 0
    assert (len(upright.found.faces), len(upright.found.unread)) == ((1, 0) if speaks else (0, 1))


def test_without_a_face_the_picture_stays_as_it_is(detector: FaceDetector) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    upright = find_upright(detector, picture)
    assert upright.quarters == 0
    assert np.shares_memory(upright.picture, picture)
    assert upright.found.faces == ()


def marked_face(roll: float = 0.0) -> FaceLandmarks:
    return face(spread=CONFIDENT_SPREAD, x=100, y=100, roll=roll)


class StubDetector:
    """Finds what it is told to at each right angle of a picture whose marked corner is white.

    Attributes:
        searched: Quarter turns clockwise of each picture that was searched.
    """

    def __init__(self, seen: dict[int, FaceLandmarks]) -> None:
        self._seen = seen
        self.searched: list[int] = []

    def search(
        self, image: NDArray[np.uint8], *, expected: int = 1, boxes: Sequence[Box] = ()
    ) -> "SeenFace":
        corners = (image[0, 0], image[0, -1], image[-1, -1], image[-1, 0])
        quarters = [int(corner[0]) for corner in corners].index(255)
        self.searched.append(quarters)
        return SeenFace(SearchResult((self._seen[quarters],) if quarters in self._seen else ()))

    def refine(
        self, image: NDArray[np.uint8], x: float, y: float, size: float
    ) -> FaceLandmarks | None:
        raise AssertionError("a sharp face needs no second look")


@dataclass
class SeenFace:
    """A search that finds the same at every look."""

    found: SearchResult

    def coarse(self) -> SearchResult:
        return self.found

    def full(self) -> SearchResult:
        return self.found


def marked() -> NDArray[np.uint8]:
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[0, 0] = 255
    return picture


def test_a_sharp_upright_face_costs_one_search_and_no_second_look() -> None:
    detector = StubDetector({0: marked_face()})
    assert find_upright(detector, marked()).quarters == 0
    assert detector.searched == [0]


@pytest.mark.parametrize(("roll", "quarters"), [(90, 3), (-90, 1), (180, 2), (60, 3), (50, 0)])
def test_a_face_that_lies_says_itself_which_way_to_turn(roll: float, quarters: int) -> None:
    upright = {turn: marked_face(roll + 90 * turn) for turn in range(4)}
    detector = StubDetector(upright)
    assert find_upright(detector, marked()).quarters == quarters
    assert detector.searched == [0, quarters][: 1 + (quarters > 0)]


def test_where_no_face_is_seen_the_other_right_angles_are_looked_at() -> None:
    for quarters in (1, 2, 3):
        assert find_upright(StubDetector({quarters: marked_face()}), marked()).quarters == quarters


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


class FakeRefiner:
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
    mesh = FakeRefiner({})
    assert quarters_to_upright(mesh, PICTURE, face(spread=0.001, roll=roll)) == quarters
    assert mesh.looks == []


def test_a_sharp_face_is_upright_without_a_second_look() -> None:
    mesh = FakeRefiner({2: (0.0001, 0.0)})
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
    assert quarters_to_upright(FakeRefiner(sees), PICTURE, seen) == quarters


def test_a_face_at_the_edge_of_the_picture_is_looked_at_too() -> None:
    for x, y in ((10, 10), (390, 200), (200, 395)):
        seen = face(spread=0.011, x=x, y=y)
        assert (
            quarters_to_upright(FakeRefiner({0: (0.011, 1.0), 2: (0.004, 0.1)}), PICTURE, seen) == 2
        )
