"""Looks: the eye turns, its lids go with it, and the catchlight stays with the light."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.eyes import Eye
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.face.detector import FaceDetector

WIDTH, CENTRE, RADIUS = 120, (150, 120), 22
GLINT = (156, 113)


def lid(down: float) -> NDArray[np.float64]:
    t = np.linspace(np.pi, 0, 9)
    return np.stack([CENTRE[0] + WIDTH / 2 * np.cos(t), CENTRE[1] + down * np.sin(t)], 1)


@pytest.fixture
def eye() -> tuple[NDArray[np.uint8], Eye]:
    """An open eye in plain skin, its iris dark, with a round catchlight."""
    picture = np.full((240, 300, 3), (200, 160, 135), np.uint8)
    cv2.ellipse(picture, CENTRE, (WIDTH // 2, 26), 0, 0, 360, (225, 225, 225), -1)
    cv2.circle(picture, CENTRE, RADIUS, (60, 40, 30), -1)
    cv2.circle(picture, GLINT, 4, (255, 255, 255), -1)
    brow = np.stack([np.linspace(95, 205, 5), np.full(5, 60.0)], 1)
    iris = Iris(np.array(CENTRE, float), float(RADIUS))
    return picture, Eye(picture, lid(-26), lid(26), brow, iris)


def centre_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def iris_of(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return centre_of(picture[..., 0] < 110)


def glint_of(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    x, y = CENTRE
    found = centre_of(picture[y - 16 : y + 10, x - 12 : x + 18].min(-1) > 235)
    return found + np.array([x - 12, y - 16])


def test_a_look_aside_leaves_the_catchlight_with_the_light(
    eye: tuple[NDArray[np.uint8], Eye],
) -> None:
    picture, painter = eye
    before = picture.copy()
    painter.paint(picture, closed=0.0, look=(-0.08, 0.0))
    moved = iris_of(picture) - iris_of(before)
    assert moved[0] == pytest.approx(-0.08 * WIDTH, abs=1.5)
    reflection = glint_of(picture) - glint_of(before)
    assert 0.3 < reflection[0] / moved[0] < 0.65
    x, y = (glint_of(picture) + 0.5).astype(int)
    assert picture[y, x].min() > 245  # as bright as before
    # No second one where it would be if it went with the iris.
    x, y = GLINT[0] + round(-0.08 * WIDTH) - 3, GLINT[1]
    assert picture[y, x].max() < 120


def test_an_eye_without_a_look_is_the_photograph(eye: tuple[NDArray[np.uint8], Eye]) -> None:
    picture, painter = eye
    before = picture.copy()
    painter.paint(picture, closed=0.0, look=(0.05, 0.03))
    assert (picture != before).any()
    painter.paint(picture, closed=0.0, look=(0.0, 0.0))
    np.testing.assert_array_equal(picture, before)


def test_the_lids_go_up_and_down_with_the_eye_by_less_than_it(
    eye: tuple[NDArray[np.uint8], Eye],
) -> None:
    def lid_row(picture: NDArray[np.uint8]) -> float:
        """Where skin turns into the white of the eye, beside the iris."""
        column = picture[80:120, CENTRE[0] - 30, 2].astype(float)
        return float(np.interp(180, column, np.arange(80, 120)))

    picture, painter = eye
    rest = lid_row(picture)
    painter.paint(picture, closed=0.0, look=(0.0, 0.045))
    down = lid_row(picture) - rest
    painter.paint(picture, closed=0.0, look=(0.0, -0.045))
    up = lid_row(picture) - rest
    assert 0.3 < down / (0.045 * WIDTH) < 0.8
    assert -0.8 < up / (0.045 * WIDTH) < -0.3


def test_drawn_eyes_are_as_open_as_the_photograph_s(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    def openness(frame: NDArray[np.uint8]) -> float:
        with FaceDetector() as detector:
            return float(np.mean(detector.detect(frame)[0].eye_openings))

    photographed = openness(portrait)
    for look in ((0.0, 0.0), (0.06, 0.0), (0.0, -0.03), (-0.05, 0.02)):
        frame = portrait.copy()
        renderer.draw(frame, pose(look=look))
        assert openness(frame) == pytest.approx(photographed, rel=0.12)


def test_an_iris_that_looks_aside_stays_round_and_the_white_beside_it_white(
    eye: tuple[NDArray[np.uint8], Eye],
) -> None:
    def widths(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        dark = picture[104:137, 115:180].max(-1) < 140  # below the upper lid, above the lower one
        dark |= picture[104:137, 115:180].min(-1) > 240  # the catchlight
        return dark.sum(1).astype(float)

    picture, painter = eye
    before = picture.copy()
    painter.paint(picture, closed=0.0, look=(0.07, 0.0))
    assert np.abs(widths(picture) - widths(before)).max() <= 4
    white = picture[112:128, 100:124].astype(int) - before[112:128, 100:124]
    assert np.abs(white).max() <= 4


def test_an_iris_behind_its_lid_is_as_round_when_it_looks_elsewhere() -> None:
    picture = np.full((240, 300, 3), (200, 160, 135), np.uint8)
    cv2.ellipse(picture, CENTRE, (WIDTH // 2, 26), 0, 0, 360, (225, 225, 225), -1)
    cv2.circle(picture, CENTRE, RADIUS, (60, 40, 30), -1)
    rows, columns = np.indices(picture.shape[:2])
    bow = np.sqrt(np.clip(1 - ((columns - CENTRE[0]) / (WIDTH / 2)) ** 2, 0, 1))
    picture[rows < CENTRE[1] - 14 * bow] = (200, 160, 135)
    brow = np.stack([np.linspace(95, 205, 5), np.full(5, 60.0)], 1)
    iris = Iris(np.array([152.0, 118.0]), RADIUS * 0.94)  # as landmarks err
    painter = Eye(picture, lid(-14), lid(26), brow, iris)
    before = picture.copy()
    painter.paint(picture, closed=0.0, look=(1e-5, 0.0))
    assert np.abs(picture.astype(int) - before).max() <= 4  # nothing jumps as an eye begins to turn
    right, down = 0.1 * WIDTH, 0.04 * WIDTH
    painter.paint(picture, closed=0.0, look=(0.1, 0.04))
    away = np.hypot(columns - CENTRE[0] - right, rows - CENTRE[1] - down)
    between = (rows > CENTRE[1] + (0.65 * down - 14) * bow + 7) & (rows < 138)
    assert picture[between & (away < RADIUS - 3)].max() < 110
    assert picture[between & (away > RADIUS + 4) & (np.abs(columns - 150) < 48)].min() > 150


def test_an_iris_leaves_a_dark_corner_dark() -> None:
    picture = np.full((240, 300, 3), (200, 160, 135), np.uint8)
    cv2.ellipse(picture, CENTRE, (WIDTH // 2, 26), 0, 0, 360, (225, 225, 225), -1)
    shade = picture[80:160, 80:126]
    shade[shade[..., 2] == 225] = 40
    picture[123:131, 102:105] = 210  # a wet spot
    middle = (127, 120)
    cv2.circle(picture, middle, RADIUS, (60, 40, 30), -1)
    brow = np.stack([np.linspace(95, 205, 5), np.full(5, 60.0)], 1)
    painter = Eye(picture, lid(-26), lid(26), brow, Iris(np.array(middle, float), float(RADIUS)))
    painter.paint(picture, closed=0.0, look=(0.08, 0.0))
    assert picture[112:120, 106:112].max() < 150  # where the iris was; the white has 225
    assert picture[112:128, 165:175].min() > 190
