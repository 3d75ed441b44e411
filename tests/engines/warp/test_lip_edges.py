import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.warp.lip_edges import ClosedLips, clean_lip_edges, lip_texture
from multitalk.face import mesh

RED = np.float32([170, 90, 90])
WIDTH = 120.0


def open_lips() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Lips 120 pixels wide around an open mouth, and the landmarks of their edges."""
    picture = np.full((200, 300, 3), (200, 160, 140), np.uint8)
    cv2.ellipse(picture, (150, 100), (62, 45), 0, 0, 360, RED.tolist(), -1)
    cv2.ellipse(picture, (150, 100), (58, 24), 0, 0, 360, (50, 20, 20), -1)
    points = np.full((478, 2), (150.0, 100.0))
    t = np.linspace(np.pi, 0, 11)
    for upper, lower, (wide, high) in (
        (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER, (58, 24)),
        (mesh.LIPS_OUTER_UPPER, mesh.LIPS_OUTER_LOWER, (62, 45)),
    ):
        for curve, way in ((upper, -1), (lower, 1)):
            points[list(curve)] = np.stack(
                [150 + wide * np.cos(t), 100 + way * high * np.sin(t)], 1
            )
    return picture, points


def test_teeth_beside_the_landmarks_are_no_part_of_the_lip() -> None:
    picture, points = open_lips()
    cv2.rectangle(picture, (125, 112), (175, 127), (225, 220, 210), -1)  # 3 pixels too far
    cleaned = picture.copy()
    clean_lip_edges(cleaned, points, width=WIDTH, red=RED)
    strip = cleaned[126:128, 135:166].astype(float)
    assert np.abs(strip - RED).max() < 40
    np.testing.assert_array_equal(cleaned[112:118, 140:160], picture[112:118, 140:160])


def test_dark_beside_the_landmarks_is_no_part_of_the_lip() -> None:
    picture, points = open_lips()
    cv2.rectangle(picture, (125, 112), (175, 127), (50, 20, 20), -1)  # 3 pixels too far
    clean_lip_edges(picture, points, width=WIDTH, red=RED)
    assert np.abs(picture[126:128, 135:166].astype(float) - RED).max() < 40


def test_a_lips_own_shine_stays() -> None:
    picture, points = open_lips()
    cv2.ellipse(picture, (150, 136), (12, 3), 0, 0, 360, (235, 215, 215), -1)
    cleaned = picture.copy()
    clean_lip_edges(cleaned, points, width=WIDTH, red=RED)
    np.testing.assert_array_equal(cleaned[132:140, 140:160], picture[132:140, 140:160])


def test_dark_beyond_a_corner_fades() -> None:
    picture, points = open_lips()
    cv2.ellipse(picture, (209, 100), (7, 3), 0, 0, 360, (40, 20, 20), -1)
    cleaned = picture.copy()
    clean_lip_edges(cleaned, points, width=WIDTH, red=RED)
    assert cleaned[100, 210:213].mean() > 1.5 * picture[100, 210:213].mean()


def test_in_a_picture_without_colour_teeth_are_not_told_from_lips() -> None:
    picture, points = open_lips()
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    cv2.rectangle(grey, (135, 122), (165, 142), (220, 220, 220), -1)
    cleaned = grey.copy()
    clean_lip_edges(cleaned, points, width=WIDTH, red=np.full(3, grey[135, 150, 0], np.float32))
    # Beyond the opening's soft edge, which is filled in any picture.
    np.testing.assert_array_equal(cleaned[134:140, 140:160], grey[134:140, 140:160])


@pytest.mark.parametrize("at", [(0, 0), (299, 199)])
def test_a_mouth_at_the_pictures_border_is_cleaned_as_far_as_it_is_seen(
    at: tuple[int, int],
) -> None:
    picture, points = open_lips()
    clean_lip_edges(picture, points - (150, 100) + at, width=WIDTH, red=RED)
    assert picture.shape == (200, 300, 3)


def test_what_is_filled_has_no_outline() -> None:
    picture, points = open_lips()
    blurred = cv2.GaussianBlur(picture, (0, 0), 2.5)
    clean_lip_edges(blurred, points, width=WIDTH, red=RED)
    down = blurred[127:140, 150].astype(float) @ (0.30, 0.59, 0.11)
    assert np.abs(np.diff(down)).max() < 8


def test_what_is_filled_has_the_hue_of_the_lips_and_not_of_their_mixed_edge() -> None:
    picture, points = open_lips()
    cv2.ellipse(picture, (150, 100), (60, 28), 0, 0, 360, (120, 80, 140), 6)  # violet
    clean_lip_edges(picture, points, width=WIDTH, red=RED)
    below = picture[125:128, 135:166].reshape(-1, 3).mean(0)
    assert np.abs(below - RED).max() < 20  # of 50 between both colours


@pytest.mark.parametrize(("gap", "is_skin"), [(24, True), (3, False)])
def test_corners_of_wide_open_lips_become_pointed(gap: int, is_skin: bool) -> None:
    picture, points = open_lips()
    if gap < 24:
        cv2.ellipse(picture, (150, 100), (58, 24), 0, 0, 360, RED.tolist(), -1)
        cv2.ellipse(picture, (150, 100), (58, gap), 0, 0, 360, (50, 20, 20), -1)
        for curve in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER):
            points[list(curve), 1] = 100 + (points[list(curve), 1] - 100) * gap / 24
    clean_lip_edges(picture, points, width=WIDTH, red=RED)
    near_corner = picture[119:122, 97:101].reshape(-1, 3).mean(0)  # the lower lip's outer edge
    expected = (200, 160, 140) if is_skin else RED
    assert np.abs(near_corner - expected).max() < 25


def test_a_light_background_beside_a_mouth_does_not_spread_over_its_corner() -> None:
    picture, points = open_lips()
    picture[:, 220:] = 250
    dark_skin = (120, 80, 60)
    picture[(picture == (200, 160, 140)).all(-1)] = dark_skin
    cv2.ellipse(picture, (209, 100), (7, 3), 0, 0, 360, (40, 20, 20), -1)
    before = picture.copy()
    clean_lip_edges(picture, points, width=WIDTH, red=RED)
    assert picture[90:110, 212:218].max() < 190
    np.testing.assert_array_equal(picture[:, 225:], before[:, 225:])


def closed_lips() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Lips that meet in a dark line 4 pixels high, RGBA, and the landmarks of that line."""
    picture = np.full((200, 300, 4), (200, 160, 140, 255), np.uint8)
    cv2.ellipse(picture, (150, 100), (62, 30), 0, 0, 360, (*RED.tolist(), 255), -1)
    picture[98:102, 92:208, :3] = (60, 25, 25)
    points = np.full((478, 2), (150.0, 100.0))
    for curve in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER):
        points[list(curve), 0] = np.linspace(92, 208, 11)
    return picture, points


def test_the_line_between_closed_lips_fades_in_the_middle_as_they_part() -> None:
    picture, points = closed_lips()
    source = picture.copy()
    shadow = ClosedLips(source, points, width=WIDTH, red=RED, scale=2)
    np.testing.assert_array_equal(source, picture)
    shadow.update(0.02 * WIDTH)
    half = source[100, 150].astype(int)
    shadow.update(0.1 * WIDTH)
    assert (picture[100, 150, :3] + 20 < half[:3]).all()
    assert np.abs(source[100, 150, :3] - RED).max() < 25
    assert source[100, 94, 0] < 90  # lips still touch at the corners
    np.testing.assert_array_equal(source[:80], picture[:80])
    shadow.update(0.0)
    np.testing.assert_array_equal(source, picture)


def test_the_line_between_dark_lips_is_filled_no_lighter_than_they_are() -> None:
    picture, points = closed_lips()
    dark = np.float32([90, 40, 45])
    ClosedLips(picture, points, width=WIDTH, red=dark, scale=2).update(WIDTH)
    assert (picture[100, 150, :3] <= (91, 41, 46)).all()


def test_lips_that_part_have_a_finer_texture_and_the_skin_has_not() -> None:
    source, points = closed_lips()
    t = np.linspace(np.pi, 0, 11)
    for curve, way in ((mesh.LIPS_OUTER_UPPER, -1), (mesh.LIPS_OUTER_LOWER, 1)):
        points[list(curve)] = np.stack([150 + 62 * np.cos(t), 100 + way * 30 * np.sin(t)], 1)
    lines = np.zeros(source.shape[:2])
    lines[:, ::4] = 12
    source[..., :3] = np.clip(source[..., :3] + lines[..., None], 0, 255)
    picture = source.copy()
    lips = ClosedLips(source, points, width=WIDTH, red=RED, scale=2)
    lips.update(0.1 * WIDTH)
    lip, skin = np.s_[109:113, 140:160, 0], np.s_[20:30, 20:60, 0]
    assert source[lip].std() > 1.15 * picture[lip].std()
    assert abs(source[lip].mean() - picture[lip].mean()) < 2
    np.testing.assert_array_equal(source[skin], picture[skin])


def test_an_edge_is_no_texture_that_could_get_a_rim() -> None:
    picture, points = open_lips()
    finer = lip_texture(picture, points, width=WIDTH, scale=2)
    assert np.abs(finer).max() <= 14
