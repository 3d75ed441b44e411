import numpy as np
import pytest

from multitalk.engines.warp.displacement import Grid
from multitalk.engines.warp.layer import Layer
from multitalk.engines.warp.quality import QUALITIES


@pytest.mark.parametrize("turned", [-30.0, 30.0])
def test_a_part_of_a_moved_layer_is_drawn_as_in_the_whole(turned: float) -> None:
    side, grid = 200, Grid.over(0, 0, 200, 200, step=5)
    rows, columns = np.indices((side, side))
    picture = np.zeros((side, side, 4), np.uint8)
    picture[..., 0], picture[..., 1] = columns, rows
    x, _ = grid.coordinates()
    displacement = np.zeros((*grid.shape, 2), np.float32)
    displacement[..., 0] = turned * np.sin(np.pi * x / side)  # as a nose is nearer than cheeks
    layer = Layer(picture, (0, 0, side, side), grid, QUALITIES["draft"])
    part = grid.crop(10, 30, 10, 30)
    whole = layer.sample(displacement, grid, grid)[50:146, 50:146].astype(int)
    alone = layer.sample(displacement, grid, part)
    assert alone.shape == (96, 96, 4)
    assert np.abs(alone - whole).max() <= 1
