import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.colour import LUMA, eye_white, skin_colour
from multitalk.engines.warp.rig import Rig


def test_the_white_of_an_eye_is_neither_iris_nor_skin(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    skin = skin_colour(portrait, rig.points, rig.frame.mouth_width)
    white = eye_white(portrait, rig.points, skin)
    assert white is not None
    assert 0.8 < (white @ LUMA) / (skin @ LUMA) < 1.3
    saturation = [1 - one.min() / one.max() for one in (white, skin)]
    assert saturation[0] < saturation[1]


def test_eyes_in_the_shade_or_beyond_the_picture_tell_no_white(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    skin = skin_colour(portrait, rig.points, rig.frame.mouth_width)
    shaded = portrait.copy()
    shaded[: int(rig.frame.origin[1])] //= 2
    assert eye_white(shaded, rig.points, skin) is None
    aside = np.array([1000, 0, 0])
    assert eye_white(portrait, rig.points - aside, skin) is None
    assert eye_white(portrait, rig.points + aside, skin) is None
