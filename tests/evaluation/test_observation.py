"""A portrait is compared with frames of a video's size."""

import numpy as np

from multitalk.evaluation.observation import fitted


def test_a_portrait_is_scaled_and_cut_to_the_video() -> None:
    portrait = np.zeros((100, 200, 3), np.uint8)
    portrait[:, 100:] = 255
    picture = fitted(portrait, height=50, width=50)
    assert picture.shape == (50, 50, 3)
    assert picture[:, :24].max() == 0
    assert picture[:, 26:].min() == 255
