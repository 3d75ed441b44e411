import numpy as np
import pytest

from multitalk.engines.warp.displacement import Grid, invert
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


@pytest.mark.parametrize("painted", [slice(0, 0), slice(15, 30)])
@pytest.mark.parametrize("moved", [(0.0, 0.0), (23.0, -9.0), (-60.0, 40.0)])
def test_only_what_shows_the_person_is_drawn_and_all_of_it(
    moved: tuple[float, float], painted: slice
) -> None:
    """Beside sampling and blending every pixel of the box."""
    side, grid = 240, Grid.over(0, 0, 240, 240, step=5)
    rows, columns = np.indices((side, side))
    opacity = np.clip(60 - np.hypot(rows - 130, columns - 110), 0, 8) / 8
    # A strand and a hole that no point of the lattice sees.
    opacity[33, 218:220], opacity[127, 102:104] = 1, 0
    pixels = np.full((side, side, 4), 200.0)
    pixels[..., 0] = columns
    pixels = np.dstack([pixels[..., :3] * opacity[..., None], 255 * (1 - opacity)])
    layer = Layer(pixels.astype(np.uint8), (0, 0, side, side), grid, QUALITIES["draft"])
    x, y = grid.coordinates()
    bell = np.exp(-(((x - 110) / 90) ** 2) - ((y - 130) / 90) ** 2)[..., None]
    displacement = (bell * moved).astype(np.float32)
    inverse = invert(displacement, grid)
    whole = layer.sample(displacement, grid, grid).astype(float)
    behind = np.full((side, side, 3), 90, np.uint8)
    expected = whole[..., :3] + behind * (whole[..., 3:] / 255)
    cover = layer.cover(inverse)
    assert 0.1 < (cover.around[..., 1] > 0).mean() < 0.6
    assert (cover.around[..., 0] == 0).any()
    layer.draw(inverse, cover, behind, painted)
    layer.compose(cover, behind, painted)
    assert np.abs(behind - expected).max() <= 1.5
