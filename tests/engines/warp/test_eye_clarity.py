"""Photographed eyes are clear in a video, and have a light on them."""

import cv2
import numpy as np
from drawn_eyes import BROW, CENTRE, HALF_HEIGHT, curve, drawn_eye
from numpy.typing import NDArray

from multitalk.engines.warp.eye_clarity import cleared
from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.lid_geometry import LidGeometry

IRIS = Iris(np.array(CENTRE, float), 18.0)


def soft_eye(*, glint: bool, iris: int = 40) -> NDArray[np.uint8]:
    picture, _ = drawn_eye(glasses=False)
    cv2.circle(picture, CENTRE, 18, (iris,) * 3, -1)
    if glint:
        cv2.circle(picture, (145, 112), 4, (255, 255, 255), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2), np.uint8)


def clear(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    lids = curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW
    place = LidGeometry.of(lids, np.zeros(2, int), np.array(picture.shape[1::-1]))
    return cleared(picture, place, IRIS).astype(float)


def test_an_eye_gets_contrast_and_the_skin_around_it_none() -> None:
    eye = soft_eye(glint=True)
    after = clear(eye)
    before_edge, after_edge = (
        np.abs(np.diff(one.astype(float).mean(2)[120, 125:140])).max() for one in (eye, after)
    )
    assert 1.05 * before_edge < after_edge < 1.4 * before_edge
    assert after[120].max() - eye[120].max() <= 8  # no bright rim
    outside = np.abs(after - eye)
    outside[100:141, 90:211] = 0
    assert outside.max() == 0


def test_an_eye_without_a_catchlight_gets_one_and_another_keeps_its_own() -> None:
    def lights(picture: NDArray[np.uint8]) -> list[float]:
        """Around the photographed one, and in the iris's other half."""
        luma = clear(picture)[109:122].mean(2)
        return [float(luma[:, 141:148].max()), float(luma[:, 153:158].max())]

    photographed, drawn = lights(soft_eye(glint=False))
    assert photographed < 60
    assert 120 < drawn < 250
    photographed, drawn = lights(soft_eye(glint=True))
    assert photographed > 150
    assert drawn < 60


def test_an_eye_that_shows_no_dark_iris_gets_no_light() -> None:
    statue = soft_eye(glint=False, iris=190)
    assert np.abs(clear(statue) - statue)[106:124, 138:163].max() < 12
