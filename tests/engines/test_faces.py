"""A scene whose faces are not upright is turned, with its boxes, and the caller is told."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.engines.base import FrameChunk, RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.faces import faces_of_speakers, find_scene_faces
from multitalk.engines.warp.engine import WarpEngine
from multitalk.errors import NoFaceFound
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.orientation import SMALLEST_FACE
from multitalk.face.search import SearchResult
from multitalk.face.transforms import rotate_box, rotate_picture
from multitalk.job.self_test import draw_face
from multitalk.messages import Notice

FRAMES = 3
SPEECH = np.sin(np.arange(FRAMES * 640, dtype=np.float32))


class StillModels:
    """Footage that does not move."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._picture = picture

    def at(self, frame: int) -> NDArray[np.uint8]:
        return self._picture


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as detector:
        yield detector


@pytest.fixture(scope="module")
def engine() -> Iterator[WarpEngine]:
    engine = WarpEngine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def pair() -> Scene:
    """Two drawn people; the right one has a box."""
    picture = np.concatenate([draw_face(240), draw_face(240)], 1)
    speakers = (Speaker("a", SPEECH, (250, 40, 470, 220)), Speaker("b", 0 * SPEECH))
    return Scene(picture, speakers, "", FRAMES)


def turned(scene: Scene, quarters: int) -> Scene:
    shape = scene.portrait.shape
    speakers = tuple(
        replace(speaker, box=speaker.box and rotate_box(speaker.box, quarters, shape))
        for speaker in scene.speakers
    )
    return replace(scene, portrait=rotate_picture(scene.portrait, quarters), speakers=speakers)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_picture_and_boxes_turn_together_and_it_is_said(
    detector: FaceDetector, pair: Scene, quarters: int
) -> None:
    scene, found, notices = find_scene_faces(turned(pair, quarters), detector)
    np.testing.assert_array_equal(scene.portrait, pair.portrait)
    assert [speaker.box for speaker in scene.speakers] == [(250, 40, 470, 220), None]
    assert len(found.faces) == 2
    assert notices == (Notice("picture_turned", {"degrees": (360 - 90 * quarters) % 360}),)


def test_an_upright_scene_stays_as_it_is(detector: FaceDetector, pair: Scene) -> None:
    scene, found, notices = find_scene_faces(pair, detector)
    assert scene is pair
    assert len(found.faces) == 2
    assert notices == ()


def test_footage_is_not_turned(detector: FaceDetector, pair: Scene) -> None:
    upside_down = turned(pair, 2)
    recording = replace(upside_down, footage=StillModels(upside_down.portrait))
    scene, _, notices = find_scene_faces(recording, detector)
    assert scene is recording
    assert notices == ()


def talk(engine: WarpEngine, scene: Scene) -> list[FrameChunk]:
    return list(engine.render(scene, RenderOptions(seed=5), ignore_progress))


@pytest.fixture(scope="module")
def upright(engine: WarpEngine, pair: Scene) -> FrameChunk:
    (chunk,) = talk(engine, pair)
    return chunk


def test_the_warp_engine_renders_a_turned_photo_as_it_renders_the_upright_one(
    engine: WarpEngine, pair: Scene, upright: FrameChunk
) -> None:
    (rendered,) = talk(engine, turned(pair, 1))  # after turning, all scenes are the same
    np.testing.assert_array_equal(rendered.frames, upright.frames)
    assert upright.frames[-1].std() > 1
    assert [notice.key for notice in rendered.notices][:1] == ["picture_turned"]
    assert "picture_turned" not in [notice.key for notice in upright.notices]


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
    found = SearchResult(tuple(faces), unread)
    return places(faces_of_speakers(speakers, found, scale=scale, portrait_size=(720, 1280)))


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
