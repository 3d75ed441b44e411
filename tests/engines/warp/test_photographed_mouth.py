import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.warp.photographed_mouth import extract_mouth
from multitalk.face import mesh

SKIN = np.float32([200, 160, 140])
ENAMEL = (215, 210, 200)


def test_a_row_that_runs_into_the_lower_teeth_is_not_taken() -> None:
    picture = photographed_teeth(specks=False)
    cv2.rectangle(picture, (108, 84), (132, 122), (215, 210, 200), -1)
    assert extract_mouth(picture, open_mouth_points(), 120.0, SKIN).teeth is None


def photographed_teeth(specks: bool) -> NDArray[np.uint8]:
    """Skin, a dark open mouth, and in it a row of teeth with, at will, specks below."""
    picture = np.full((200, 300, 3), (200, 160, 140), np.uint8)
    cv2.ellipse(picture, (150, 100), (60, 24), 0, 0, 360, (60, 20, 20), -1)
    cv2.rectangle(picture, (108, 84), (192, 96), (215, 210, 200), -1)
    if specks:
        for x in range(100, 205, 9):
            cv2.circle(picture, (x, 104 + x % 7), 1, (215, 210, 200), -1)
        picture[85:95, 140:142] = (90, 60, 60)  # a dark cleft
    return picture


def open_mouth_points() -> NDArray[np.float64]:
    points = np.zeros((478, 3))
    t = np.linspace(np.pi, 0, 11)
    points[list(mesh.LIPS_INNER_UPPER), :2] = np.stack(
        [150 + 60 * np.cos(t), 100 - 24 * np.sin(t)], 1
    )
    points[list(mesh.LIPS_INNER_LOWER), :2] = np.stack(
        [150 + 60 * np.cos(t), 100 + 24 * np.sin(t)], 1
    )
    return points


@pytest.mark.parametrize("specks", [False, True])
def test_own_teeth_are_one_row_without_specks_or_holes(specks: bool) -> None:
    own = extract_mouth(photographed_teeth(specks), open_mouth_points(), 120.0, SKIN)
    assert own.teeth is not None
    row = (own.teeth * own.cover) > 0.5
    count, _ = cv2.connectedComponents(row.astype(np.uint8))
    assert count == 2  # the row and what is around it
    edge = own.corner[1] + len(row) - 1 - row[::-1, :][:, 60:90].argmax(0)
    assert np.abs(edge - 96).max() <= 3


def test_teeth_that_are_hardly_seen_are_not_used() -> None:
    picture = photographed_teeth(specks=False)
    picture[84:97, 108:160] = (60, 20, 20)
    own = extract_mouth(picture, open_mouth_points(), 120.0, SKIN)
    assert own.teeth is None


def test_what_hangs_from_nothing_is_no_row_of_upper_teeth() -> None:
    picture = photographed_teeth(specks=False)
    inside = picture[84:97, 108:193].copy()
    picture[84:97, 108:193] = (60, 20, 20)  # a dark palate, and a bright tongue below it
    picture[101:114, 108:193] = inside
    own = extract_mouth(picture, open_mouth_points(), 120.0, SKIN)
    assert own.teeth is None


def test_the_colour_of_teeth_is_that_of_the_teeth_seen() -> None:
    own = extract_mouth(photographed_teeth(specks=False), open_mouth_points(), 120.0, SKIN)
    assert own.enamel is not None
    np.testing.assert_allclose(own.enamel, ENAMEL, rtol=0.05)


def test_a_tongue_tells_no_colour_of_teeth() -> None:
    picture = photographed_teeth(specks=False)
    picture[84:97, 108:193] = (205, 130, 130)
    assert extract_mouth(picture, open_mouth_points(), 120.0, SKIN).enamel is None


def test_a_row_ends_at_the_thin_dark_line_above_the_lower_teeth() -> None:
    picture = photographed_teeth(specks=False)
    cv2.rectangle(picture, (108, 98), (192, 110), ENAMEL, -1)
    picture[97:98, 108:193] = (120, 80, 80)
    own = extract_mouth(picture, open_mouth_points(), 120.0, SKIN)
    assert own.teeth is not None
    row = (own.teeth * own.cover) > 0.5
    edge = own.corner[1] + len(row) - 1 - row[::-1, 60:90].argmax(0)
    assert np.abs(edge - 96).max() <= 3


def test_a_strip_of_teeth_under_the_lip_is_too_little_to_be_used() -> None:
    picture = photographed_teeth(specks=False)
    picture[90:97, 108:193] = (60, 20, 20)
    assert extract_mouth(picture, open_mouth_points(), 120.0, SKIN).teeth is None
