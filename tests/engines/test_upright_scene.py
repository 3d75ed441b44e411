"""A scene whose faces are not upright is turned, with its boxes, and the caller is told."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.base import FrameChunk, RenderOptions, Scene, Speaker, unwatched
from multitalk.engines.upright import set_upright
from multitalk.engines.warp.engine import WarpEngine
from multitalk.face.drawn_face import draw_face
from multitalk.face.landmarks import FaceDetector
from multitalk.face.turning import turned_box, turned_picture
from multitalk.messages import Notice

FRAMES = 3
SPEECH = np.sin(np.arange(FRAMES * 640, dtype=np.float32))


class Still:
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
        replace(speaker, box=speaker.box and turned_box(speaker.box, quarters, shape))
        for speaker in scene.speakers
    )
    return replace(scene, portrait=turned_picture(scene.portrait, quarters), speakers=speakers)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_picture_and_boxes_turn_together_and_it_is_said(
    detector: FaceDetector, pair: Scene, quarters: int
) -> None:
    scene, found, notices = set_upright(turned(pair, quarters), detector)
    np.testing.assert_array_equal(scene.portrait, pair.portrait)
    assert [speaker.box for speaker in scene.speakers] == [(250, 40, 470, 220), None]
    assert len(found.faces) == 2
    assert notices == (Notice("picture_turned", {"degrees": (360 - 90 * quarters) % 360}),)


def test_an_upright_scene_stays_as_it_is(detector: FaceDetector, pair: Scene) -> None:
    scene, found, notices = set_upright(pair, detector)
    assert scene is pair
    assert len(found.faces) == 2
    assert notices == ()


def test_footage_is_not_turned(detector: FaceDetector, pair: Scene) -> None:
    upside_down = turned(pair, 2)
    recording = replace(upside_down, footage=Still(upside_down.portrait))
    scene, _, notices = set_upright(recording, detector)
    assert scene is recording
    assert notices == ()


def talk(engine: WarpEngine, scene: Scene) -> list[FrameChunk]:
    return list(engine.render(scene, RenderOptions(seed=5), unwatched))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_warp_engine_renders_a_turned_photo_as_it_renders_the_upright_one(
    engine: WarpEngine, pair: Scene, quarters: int
) -> None:
    (upright,) = talk(engine, pair)
    (rendered,) = talk(engine, turned(pair, quarters))
    np.testing.assert_array_equal(rendered.frames, upright.frames)
    assert upright.frames[-1].std() > 1
    assert [notice.key for notice in rendered.notices][:1] == ["picture_turned"]
    assert "picture_turned" not in [notice.key for notice in upright.notices]
