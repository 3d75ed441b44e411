import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.photographed_mouth import extract_mouth
from multitalk.face import mesh

SKIN = np.float32([200, 160, 140])
ENAMEL = (215, 210, 200)


def photographed_teeth() -> NDArray[np.uint8]:
    """Skin, a dark open mouth, and in it a row of teeth."""
    picture = np.full((200, 300, 3), (200, 160, 140), np.uint8)
    cv2.ellipse(picture, (150, 100), (60, 24), 0, 0, 360, (60, 20, 20), -1)
    cv2.rectangle(picture, (108, 84), (192, 96), ENAMEL, -1)
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


def test_the_colour_of_teeth_is_that_of_the_teeth_seen() -> None:
    own = extract_mouth(photographed_teeth(), open_mouth_points(), 120.0, SKIN)
    assert own.enamel is not None
    np.testing.assert_allclose(own.enamel, ENAMEL, rtol=0.05)


def test_a_tongue_tells_no_colour_of_teeth() -> None:
    picture = photographed_teeth()
    picture[84:97, 108:193] = (205, 130, 130)
    assert extract_mouth(picture, open_mouth_points(), 120.0, SKIN).enamel is None


def test_a_few_bright_pixels_tell_no_colour_of_teeth() -> None:
    picture = photographed_teeth()
    picture[84:97, 112:193] = (60, 20, 20)
    assert extract_mouth(picture, open_mouth_points(), 120.0, SKIN).enamel is None


def test_the_cut_out_is_the_mouth_within_the_lips() -> None:
    picture = photographed_teeth()
    own = extract_mouth(picture, open_mouth_points(), 120.0, SKIN)
    x, y = np.array([150, 90]) - own.corner
    assert own.cover[y, x] > 0.99
    np.testing.assert_array_equal(own.pixels[y, x], ENAMEL)
    x, y = np.array([150, 74]) - own.corner
    assert y < 0 or own.cover[y, x] < 0.1


def test_a_photograph_tells_how_far_upper_teeth_are_seen() -> None:
    points = open_mouth_points()
    upper = extract_mouth(photographed_teeth(), points, 120.0, SKIN).upper_teeth
    assert upper is not None
    assert abs(upper - 20 / 48) < 0.07  # of the lip gap in the middle
    lower_only = photographed_teeth()[::-1].copy()  # the mouth is at the picture's middle
    assert extract_mouth(lower_only, points, 120.0, SKIN).upper_teeth == 0
    clenched = photographed_teeth()
    cv2.rectangle(clenched, (108, 84), (192, 116), ENAMEL, -1)
    assert extract_mouth(clenched, points, 120.0, SKIN).upper_teeth is None
