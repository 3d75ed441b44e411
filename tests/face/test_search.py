"""Faces are looked for in boxes and, ever more closely, in the picture, whatever networks look."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.search import COARSE_PASSES, FINE_PASSES, Detection, Search, SearchResult

# Each pixel says where it is, so that a part of the picture knows which one it is.
ROWS, COLUMNS = np.mgrid[:600, :800]
PICTURE = np.stack([COLUMNS % 256, ROWS % 256, 16 * (COLUMNS // 256) + ROWS // 256], 2).astype(
    np.uint8
)


def face_at(x: float, y: float, size: float = 60) -> FaceLandmarks:
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (x, y)
    points[0, :2] -= size / 2
    points[1, :2] += size / 2
    return FaceLandmarks(points)


class Networks:
    """A detector that sees given places, and a mesh that holds where it is told to.

    Attributes:
        looks: Size of each part that the detector looked at, and how: longer side, quarter turns.
        tried: The places that the mesh was asked about.
    """

    def __init__(
        self,
        places: list[Detection],
        holds: Callable[[Detection], bool] = lambda _: True,
        *,
        seen_at: tuple[int, ...] = (320, 640, 1280),
        seen_after: tuple[int, ...] = (0, 1, 2, 3),
    ) -> None:
        self._places, self._holds = places, holds
        self._seen_at, self._seen_after = seen_at, seen_after
        self.looks: list[tuple[int, int, int, int]] = []
        self.tried: list[Detection] = []

    def locate(
        self, image: NDArray[np.uint8], *, longer: int, quarters: int = 0
    ) -> list[Detection]:
        height, width = image.shape[:2]
        self.looks.append((width, height, longer, quarters))
        if longer not in self._seen_at or quarters not in self._seen_after:
            return []
        column, row, coarse = image[0, 0].tolist()
        left, top = column + 256 * (coarse // 16), row + 256 * (coarse % 16)
        return [
            place._replace(x=place.x - left, y=place.y - top)
            for place in self._places
            if 0 <= place.x - left < width and 0 <= place.y - top < height
        ]

    def verify(self, image: NDArray[np.uint8], place: Detection) -> FaceLandmarks | None:
        assert image.shape == PICTURE.shape
        self.tried.append(place)
        return face_at(place.x, place.y, place.size) if self._holds(place) else None


def middles(found: SearchResult) -> list[tuple[float, float]]:
    return [face.center for face in found.faces]


def test_a_place_that_failed_does_not_block_its_neighbour() -> None:
    failing, near = Detection(300, 300, 60, 0.9), Detection(320, 310, 60, 0.6)
    networks = Networks([failing, near], lambda place: place.x > 310)
    assert middles(Search(networks, PICTURE).full()) == [(320, 310)]


def test_a_face_that_was_found_blocks_its_surroundings() -> None:
    networks = Networks([Detection(300, 300, 60, 0.9), Detection(320, 310, 60, 0.6)])
    assert middles(Search(networks, PICTURE).full()) == [(300, 300)]
    assert len(networks.tried) == 1


def test_the_mesh_is_not_asked_twice_about_the_same_place() -> None:
    networks = Networks(
        [Detection(300, 300, 60, 0.9), Detection(300.5, 300.5, 61, 0.8)], lambda place: False
    )
    Search(networks, PICTURE).coarse()
    assert len(networks.tried) == 1


def test_a_picture_is_looked_at_closely_only_while_faces_are_missing() -> None:
    quickly = [(800, 600, longer, turns) for longer, turns in COARSE_PASSES]
    closely = [(800, 600, longer, turns) for longer, turns in FINE_PASSES]
    for expected, looks in ((1, quickly[:1]), (2, quickly + closely)):
        networks = Networks([Detection(300, 300, 60, 0.9)])
        Search(networks, PICTURE, expected=expected).full()
        assert networks.looks == looks
    networks = Networks([])
    Search(networks, PICTURE).coarse()
    assert networks.looks == quickly


def test_a_small_picture_is_not_enlarged_much() -> None:
    networks = Networks([])
    Search(networks, PICTURE[:100, :120]).full()
    assert {longer for *_, longer, _ in networks.looks} == {320}


@pytest.mark.parametrize(("seen_at", "seen_after"), [(1280, 0), (320, 1), (320, 2), (320, 3)])
def test_what_is_seen_in_a_close_look_only_is_found_where_it_is(
    seen_at: int, seen_after: int
) -> None:
    networks = Networks(
        [Detection(500, 400, 60, 0.9)], seen_at=(seen_at,), seen_after=(seen_after,)
    )
    assert middles(Search(networks, PICTURE).full()) == [(500, 400)]


def test_a_place_that_failed_is_tried_again_where_it_is_seen_tilted() -> None:
    upright, lying = Detection(300, 300, 60, 0.9), Detection(300, 300, 60, 0.8, 1.5)
    networks = Networks([upright, lying], lambda place: place.tilt > 1)
    assert middles(Search(networks, PICTURE).full()) == [(300, 300)]


def test_a_box_is_searched_by_itself_and_nothing_else_where_its_face_is_there() -> None:
    box: Box = (450, 350, 550, 450)
    networks = Networks([Detection(500, 400, 60, 0.9), Detection(100, 100, 60, 0.9)])
    assert middles(Search(networks, PICTURE, boxes=[box]).full()) == [(500, 400)]
    assert all((width, height) != (800, 600) for width, height, *_ in networks.looks)


def test_of_two_boxes_each_has_its_face() -> None:
    boxes: list[Box] = [(450, 350, 550, 450), (50, 50, 150, 150)]
    networks = Networks([Detection(500, 400, 60, 0.9), Detection(100, 100, 60, 0.9)])
    assert middles(Search(networks, PICTURE, boxes=boxes).full()) == [(100, 100), (500, 400)]


def test_where_no_detector_sees_the_face_of_a_box_the_mesh_is_asked_all_the_same() -> None:
    networks = Networks([])
    found = Search(networks, PICTURE, boxes=[(450, 350, 550, 450)]).full()
    assert middles(found) == [(500, 400)]


def test_a_box_without_a_face_leaves_the_others_to_be_found() -> None:
    networks = Networks([Detection(100, 100, 60, 0.9)], lambda place: place.x < 200)
    found = Search(networks, PICTURE, boxes=[(450, 350, 550, 450)]).full()
    assert middles(found) == [(100, 100)]


def test_a_box_outside_the_picture_is_no_error() -> None:
    networks = Networks([Detection(100, 100, 60, 0.9)], lambda place: place.x < 200)
    found = Search(networks, PICTURE, boxes=[(900, 900, 950, 950)]).full()
    assert middles(found) == [(100, 100)]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (Detection(300, 300, 60, 0.9), 1),
        (Detection(300, 300, 60, 0.5), 0),  # the detector is not sure
        (Detection(300, 300, 20, 0.9), 0),  # too small to speak anyhow
    ],
)
def test_a_face_that_is_surely_seen_and_cannot_be_read_is_told(place: Detection, told: int) -> None:
    found = Search(Networks([place], lambda _: False), PICTURE).full()
    assert found.faces == ()
    assert found.unread == ((270, 270, 330, 330),) * told


def test_what_failed_at_a_face_that_was_found_after_all_is_not_told() -> None:
    places = [Detection(300, 300, 60, 0.9), Detection(310, 300, 60, 0.8)]
    found = Search(Networks(places, lambda place: place.x > 305), PICTURE).full()
    assert len(found.faces) == 1
    assert found.unread == ()
