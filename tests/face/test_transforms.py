"""What is in a picture turns with it."""

import numpy as np

from multitalk.face.transforms import rotate_box, rotate_picture, rotate_points


def test_points_and_boxes_go_where_their_pixels_go() -> None:
    picture = np.zeros((20, 30, 1), np.uint8)
    picture[4:7, 10:15] = 1
    for quarters in range(-4, 8):
        rows, columns = np.nonzero(rotate_picture(picture, quarters)[..., 0])
        box = rotate_box((10, 4, 15, 7), quarters, picture.shape)
        assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        there = rotate_points(np.array([[10.0, 4.0], [15.0, 7.0]]), quarters, picture.shape)
        back = rotate_points(there, -quarters, rotate_picture(picture, quarters).shape)
        np.testing.assert_allclose(back, [[10, 4], [15, 7]])
