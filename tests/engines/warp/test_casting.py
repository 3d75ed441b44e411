import numpy as np
import pytest

from multitalk.boxes import Box
from multitalk.engines.base import Speaker
from multitalk.engines.warp.casting import cast_faces
from multitalk.errors import NoFaceFound
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.search import Found
from multitalk.face.upright import SMALLEST_FACE

SILENCE = np.zeros(640, np.float32)


def face_at(x: float, y: float = 100, size: float = 1.0) -> FaceLandmarks:
    """An oval of landmarks around (x, y), 100 * size pixels high."""
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (x, y)
    points[10, 1], points[152, 1] = y - 50 * size, y + 50 * size
    points[234, 0], points[454, 0] = x - 40 * size, x + 40 * size
    return FaceLandmarks(points)


def speaker(name: str, box: Box | None = None) -> Speaker:
    return Speaker(name, SILENCE, box)


def places(chosen: list[FaceLandmarks]) -> list[float]:
    return [float(face.points[0, 0]) for face in chosen]


def cast(
    speakers: list[Speaker],
    faces: list[FaceLandmarks],
    unread: tuple[Box, ...] = (),
    scale: float = 1.0,
) -> list[float]:
    found = Found(tuple(faces), unread)
    return places(cast_faces(speakers, found, scale=scale, portrait_size=(720, 1280)))


def test_speakers_take_faces_from_left_to_right() -> None:
    assert cast([speaker("b"), speaker("a")], [face_at(100), face_at(500)]) == [100, 500]


def test_boxes_come_first() -> None:
    speakers = [speaker("a", (400, 0, 600, 400)), speaker("b")]
    assert cast(speakers, [face_at(100), face_at(500)], scale=0.5) == [500, 100]


def test_with_more_faces_than_speakers_the_largest_speak() -> None:
    faces = [face_at(100, size=0.5), face_at(300, size=2), face_at(500, size=1)]
    assert cast([speaker("a"), speaker("b")], faces) == [300, 500]


def test_of_two_faces_in_a_box_the_larger_speaks() -> None:
    faces = [face_at(100, size=0.5), face_at(130, size=2)]
    assert cast([speaker("a", (0, 0, 400, 400))], faces) == [130]


AWAY = (0, 50, 100, 150)  # a face that is seen at x = 50 and looks away


@pytest.mark.parametrize(
    ("speakers", "faces", "unread", "key", "field"),
    [
        ([speaker("a")], [], (), "no_face_found", "image_path"),
        ([speaker("a")], [], (AWAY,), "face_unread", "image_path"),
        ([speaker("a"), speaker("b")], [face_at(9)], (), "too_few_faces", "image_path"),
        ([speaker("a"), speaker("b")], [face_at(9)], (AWAY,), "too_few_faces_unread", "image_path"),
        ([speaker("a", (0, 0, 9, 9))], [face_at(100)], (), "no_face_in_box", "bbox.a"),
        ([speaker("a"), speaker("b", (0, 0, 9, 9))], [], (), "no_face_in_box", "bbox.b"),
        ([speaker("a", AWAY)], [], (AWAY,), "face_in_box_unread", "bbox.a"),
        ([speaker("a", (0, 0, 9, 9))], [face_at(300)], (AWAY,), "no_face_in_box", "bbox.a"),
        ([speaker("a", AWAY)], [face_at(300)], (AWAY,), "face_in_box_unread", "bbox.a"),
        (
            [speaker("a")],
            [face_at(50, size=SMALLEST_FACE / 101)],
            (),
            "face_too_small",
            "image_path",
        ),
    ],
)
def test_what_cannot_be_cast_is_said(
    speakers: list[Speaker],
    faces: list[FaceLandmarks],
    unread: tuple[Box, ...],
    key: str,
    field: str,
) -> None:
    with pytest.raises(NoFaceFound) as refused:
        cast(speakers, faces, unread)
    assert (refused.value.key, refused.value.field) == (key, field)


def test_whether_a_face_is_too_small_goes_by_the_rendered_size() -> None:
    face = face_at(50, size=2 * SMALLEST_FACE / 101)
    assert cast([speaker("a")], [face]) == [50]
    with pytest.raises(NoFaceFound, match="at least 80 pixels"):
        cast([speaker("a")], [face], scale=0.5)
