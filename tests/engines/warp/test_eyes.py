import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.eyes import Eye, Eyes
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh

SKIN = np.array([200.0, 160.0, 135.0])
HALF_WIDTH, HALF_HEIGHT, CENTRE = 60, 20, (150, 120)


def curve(down: float) -> NDArray[np.float64]:
    """A lid's landmarks from corner to corner, bulging down by `down`."""
    t = np.linspace(np.pi, 0, 9)
    return np.stack([CENTRE[0] + HALF_WIDTH * np.cos(t), CENTRE[1] + down * np.sin(t)], 1)


def drawn_eye(*, glasses: bool) -> tuple[NDArray[np.uint8], Eye]:
    """An eye with a dark iris in skin that is lit from the left, and at will a rim above it."""
    light = np.linspace(1.1, 0.8, 300)[None, :, None]
    picture = np.clip(SKIN * light * np.ones((240, 1, 1)), 0, 255).astype(np.uint8)
    cv2.ellipse(picture, CENTRE, (HALF_WIDTH, HALF_HEIGHT), 0, 0, 360, (235, 235, 235), -1)
    cv2.circle(picture, CENTRE, 18, (50, 30, 20), -1)
    if glasses:
        cv2.ellipse(picture, CENTRE, (85, 58), 0, 0, 360, (20, 20, 20), 6)
    brow = np.stack([np.linspace(95, 205, 5), np.full(5, 60.0)], 1)
    return picture, Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), brow)


def test_a_shut_lid_has_the_colour_of_the_skin_around_with_glasses_or_without() -> None:
    for glasses in (False, True):
        picture, eye = drawn_eye(glasses=glasses)
        eye.paint(picture, closed=1.0, look=(0.0, 0.0))
        lid = picture[110:122, 115:186].astype(float)
        light = np.linspace(1.1, 0.8, 300)[115:186, None]
        assert np.abs(lid - SKIN * light).max() < 40
        assert np.abs((lid - SKIN * light).mean()) < 15


def test_the_rim_of_glasses_is_not_drawn_down_by_a_lid() -> None:
    picture, eye = drawn_eye(glasses=True)
    before = picture.copy()
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    np.testing.assert_allclose(picture[56:68, 140:160], before[56:68, 140:160], atol=4)


def test_a_shut_lid_ends_in_a_line_of_lashes_between_the_corners_only() -> None:
    picture, eye = drawn_eye(glasses=False)
    before = picture.astype(float)
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    column = picture[100:165, CENTRE[0]].mean(1)
    assert 132 <= 100 + column.argmin() <= 144
    assert column.min() < 0.6 * SKIN.mean()
    outside = np.abs(picture - before)[:, CENTRE[0] + HALF_WIDTH + 8 :]
    assert outside.max() < 12


def test_an_eye_that_opens_again_is_as_it_was() -> None:
    picture, eye = drawn_eye(glasses=False)
    before = picture.copy()
    eye.paint(picture, closed=0.7, look=(0.05, 0.0))
    assert np.any(picture != before)
    eye.paint(picture, closed=0.0, look=(0.0, 0.0))
    np.testing.assert_array_equal(picture, before)


def test_behind_dark_glasses_and_behind_the_nose_no_lid_is_painted(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    right, left = (mesh.RIGHT_EYE_UPPER, mesh.LEFT_EYE_UPPER)

    def blink(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> list[bool]:
        source = picture.copy()
        Eyes(source, points, (0, 0), 1).set(closed=1.0, look=(0.0, 0.0))
        changed = (source != picture).any(2)
        middles = [points[list(lid), :2].mean(0).astype(int) for lid in (right, left)]
        return [bool(changed[y - 5 : y + 6, x - 5 : x + 6].any()) for x, y in middles]

    assert blink(portrait, rig.points) == [True, True]
    shades = portrait.copy()
    for lid in (right, left):
        x, y = rig.points[list(lid), :2].mean(0).astype(int)
        cv2.circle(shades, (int(x), int(y)), 24, (25, 20, 20), -1)
    assert blink(shades, rig.points) == [False, False]
    turned = rig.points.copy()
    turned[list(left), 0] = turned[left[-1], 0] + (turned[list(left), 0] - turned[left[-1], 0]) / 4
    assert blink(portrait, turned) == [True, False]
