"""Tests of `multitalk.engines.warp.shading`."""

import numpy as np
import pytest

from multitalk.engines.warp.aperture import Aperture
from multitalk.engines.warp.shading import LipShading

RED = np.array([170, 110, 110], np.float32)


@pytest.mark.parametrize("width", [70, 120, 240])
def test_closed_lips_meet_in_a_line_as_dark_as_on_films_at_any_size(width: int) -> None:
    across, down = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    lips = LipShading(across, down, width, RED, RED)
    seam = np.stack([np.linspace(0.1, 1.1, 41), np.full(41, 0.4)], 1).astype(np.float32) * width
    region = np.tile(RED, (int(0.8 * width), int(1.2 * width), 1)).astype(np.float32)

    lips.contact_line(region, (0, 0), Aperture.between(seam, seam, down), 1.0)

    column = region[:, int(0.6 * width)].mean(1) / RED.mean()
    assert 0.45 < column.min() < 0.75
    assert (column < 0.85).sum() < 0.1 * width
