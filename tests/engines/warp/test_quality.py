"""What is given up and what is gained by drawing less or more."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.base import Quality, RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.warp.engine import WarpEngine
from multitalk.engines.warp.layer import Layer
from multitalk.engines.warp.quality import QUALITIES
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig
from multitalk.face.detector import FaceDetector

FRAMES = 13  # a chunk and one more


@pytest.fixture(scope="module")
def engine() -> Iterator[WarpEngine]:
    engine = WarpEngine()
    yield engine
    engine.close()


def frames(
    engine: WarpEngine, portrait: NDArray[np.uint8], options: RenderOptions
) -> NDArray[np.uint8]:
    t = np.arange(FRAMES * 640) / 16000
    buzz = 0.1 * np.sign(np.sin(2 * np.pi * 120 * t)) * (np.sin(2 * np.pi * 5 * t) > 0)
    scene = Scene(portrait, (Speaker("person1", buzz.astype(np.float32)),), "", FRAMES)
    return np.concatenate(
        [chunk.frames for chunk in engine.render(scene, options, ignore_progress)], dtype=np.uint8
    )


def sharpness(picture: NDArray[np.uint8], rig: Rig) -> float:
    """Variance of the Laplacian on the face and somewhat around it."""
    around = 0.2 * rig.frame.height
    x0, y0 = np.maximum(rig.points[:, :2].min(0) - around, 0).astype(int)
    x1, y1 = (rig.points[:, :2].max(0) + around).astype(int)
    grey = cv2.cvtColor(picture[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def drawn(
    renderer: HeadRenderer, portrait: NDArray[np.uint8], **weights: float
) -> NDArray[np.uint8]:
    frame = portrait.copy()
    renderer.draw(frame, pose(**weights))
    return frame


@pytest.fixture(scope="module")
def standard(engine: WarpEngine, portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return frames(engine, portrait, RenderOptions(seed=5))


def test_what_is_not_asked_for_is_standard(
    engine: WarpEngine, portrait: NDArray[np.uint8], standard: NDArray[np.uint8]
) -> None:
    stated = frames(engine, portrait, RenderOptions(seed=5, quality="standard"))
    np.testing.assert_array_equal(standard, stated)


@pytest.mark.parametrize("quality", ["draft", "fine"])
def test_every_quality_is_another_picture_of_the_same_talk(
    engine: WarpEngine,
    portrait: NDArray[np.uint8],
    standard: NDArray[np.uint8],
    quality: Quality,
) -> None:
    options = RenderOptions(seed=5, quality=quality)
    other = frames(engine, portrait, options)
    np.testing.assert_array_equal(other, frames(engine, portrait, options))
    assert np.any(other != standard)
    assert np.abs(other.astype(int) - standard).mean() < 2


@pytest.mark.parametrize("quality", QUALITIES)
def test_lips_close_and_open_in_every_quality(
    portrait: NDArray[np.uint8], rig: Rig, quality: Quality
) -> None:
    renderer = HeadRenderer(portrait, rig, quality=QUALITIES[quality])
    found = []
    with FaceDetector() as detector:
        for weights in ({"open": 0.7}, {"open": 0.0}, {"open": 0.7}, {"press": 0.9}):
            frame = portrait.copy()
            renderer.draw(frame, pose(seal=1, **weights))
            found.append(detector.detect(frame)[0].mouth_opening)
    assert min(found[::2]) > 0.03
    assert max(found[1::2]) < 0.012


@pytest.fixture(scope="module")
def lost_sharpness(portrait: NDArray[np.uint8], rig: Rig) -> dict[str, NDArray[np.float64]]:
    """Share of the portrait's sharpness that is lost, at several parts of a pixel aside.

    With some grain, so that there is something to lose.
    """
    noise = np.random.default_rng(1).normal(0, 8, portrait.shape[:2])
    grain = cv2.GaussianBlur(noise, (0, 0), 0.7)[..., None]
    picture = np.clip(portrait + grain, 0, 255).astype(np.uint8)
    asked = sharpness(picture, rig)
    lost = {}
    for quality, preset in QUALITIES.items():
        renderer = HeadRenderer(picture, rig, quality=preset)
        moved = [
            drawn(renderer, picture, shift_x=x / rig.frame.width, shift_y=y / rig.frame.height)
            for x, y in ((0.25, 0.25), (0.5, 0.5), (0.7, 0.35))
        ]
        lost[quality] = 1 - np.array([sharpness(frame, rig) for frame in moved]) / asked
    return lost


def test_the_finer_the_nearer_to_the_portraits_sharpness(
    lost_sharpness: dict[str, NDArray[np.float64]],
) -> None:
    wrong = {quality: np.abs(lost).mean() for quality, lost in lost_sharpness.items()}
    assert 0 < wrong["fine"] < 0.7 * wrong["standard"]
    assert wrong["standard"] < 0.5 * wrong["draft"]


def test_a_moved_face_is_on_average_as_sharp_as_the_portrait(
    lost_sharpness: dict[str, NDArray[np.float64]],
) -> None:
    """Sampling between pixels blurs: without more contrast in the source a tenth is lost."""
    assert abs(lost_sharpness["standard"].mean()) < 0.05


def test_sharpening_leaves_no_light_rim_at_a_persons_edge(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    pixels = np.zeros((*portrait.shape[:2], 4), np.uint8)
    pixels[:, :220, :3], pixels[:, 220:, 3] = 200, 255
    sharp, plain = (
        Layer(pixels, rig.box, rig.upper.grid, replace(QUALITIES["standard"], sharpening=shares))
        for shares in ((0.5, 0.0), (0.0, 0.0))
    )
    assert sharp.source[..., :3].max() == plain.source[..., :3].max()
