import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.warp.picture_texture import PictureTexture


def a_face(blur: float, grain: float = 0.0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Dark spots on light skin, softened and with grain; its corners as landmarks."""
    rng = np.random.default_rng(3)
    picture = np.full((240, 240), 190, np.float32)
    for x, y in rng.uniform(20, 220, (40, 2)):
        cv2.circle(picture, (int(x), int(y)), 7, 60, -1)
    soft = cv2.GaussianBlur(picture, (0, 0), blur) + grain * rng.standard_normal((240, 240))
    points = np.zeros((478, 3))
    points[0], points[1:] = (0, 0, 0), (240, 240, 0)
    return np.repeat(np.clip(soft, 0, 255).astype(np.uint8)[..., None], 3, 2), points


@pytest.mark.parametrize("blur", [0.8, 1.3, 2.0])
def test_the_blur_of_a_picture_is_found_on_its_edges(blur: float) -> None:
    assert PictureTexture.of(*a_face(blur)).blur == pytest.approx(blur, rel=0.3)


def test_a_softer_picture_is_found_to_be_softer() -> None:
    found = [PictureTexture.of(*a_face(blur)).blur for blur in (0.7, 1.0, 1.5, 2.2)]
    assert found == sorted(found)


def test_grain_is_found_and_a_smooth_picture_has_none() -> None:
    assert PictureTexture.of(*a_face(1.0, grain=4.0)).grain == pytest.approx(4.0, rel=0.3)
    smooth = PictureTexture.of(*a_face(1.0))
    assert smooth.grain == 0
    assert smooth.tile() is None


def test_added_grain_is_as_strong_as_the_pictures_and_always_the_same() -> None:
    texture = PictureTexture(blur=1.0, grain=3.0)
    tile, again = texture.tile(), texture.tile()
    assert tile is not None
    assert again is not None
    assert tile.std() == pytest.approx(3.0, rel=0.01)
    np.testing.assert_array_equal(tile, again)


def test_a_face_of_a_few_pixels_is_not_measured() -> None:
    assert PictureTexture.of(np.zeros((4, 4, 3), np.uint8), np.ones((478, 3))).grain == 0
