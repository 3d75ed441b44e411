import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.engines.warp.displacement import Grid, displace_points, invert, upsample


def wave(grid: Grid, size: float) -> np.ndarray:
    """A smooth displacement of at most `size` pixels."""
    x, y = grid.coordinates()
    return np.stack([size * np.sin(y / 40), size * np.cos(x / 50)], -1).astype(np.float32)


@given(size=st.floats(0, 12), x=st.integers(-50, 200), y=st.integers(-50, 200))
@settings(max_examples=25, deadline=None)
def test_a_point_that_is_moved_and_looked_up_again_is_where_it_was(
    size: float, x: int, y: int
) -> None:
    grid = Grid.over(x, y, x + 300, y + 240, step=5)
    displacement = wave(grid, size)
    start = np.array([[x + 120.0, y + 100.0], [x + 160.0, y + 140.0]])
    moved = displace_points(start, displacement, grid)
    inverse = invert(displacement, grid)
    u, v = ((moved - (grid.x, grid.y)) / grid.step).astype(np.float32).T
    back = cv2.remap(inverse, u[None], v[None], cv2.INTER_LINEAR)[0] * grid.step
    np.testing.assert_allclose(back + np.array([grid.x, grid.y]), start, atol=0.15)


@pytest.mark.parametrize("step", [3, 5, 9])
def test_enlarging_equals_interpolating_each_pixel(step: int) -> None:
    grid = Grid.over(10, 20, 10 + 12 * step, 20 + 8 * step, step=step)
    inverse = np.random.default_rng(0).normal(size=(*grid.shape, 2)).astype(np.float32)
    fast = upsample(inverse, grid, scale=1)
    rows, columns = fast.shape[:2]
    v, u = (np.arange(n) / step for n in (rows, columns))
    top, left = (np.minimum(p.astype(int), n - 2) for p, n in zip((v, u), grid.shape, strict=True))
    down, right = (v - top)[:, None, None], (u - left)[None, :, None]
    above = inverse[top][:, left] * (1 - right) + inverse[top][:, left + 1] * right
    below = inverse[top + 1][:, left] * (1 - right) + inverse[top + 1][:, left + 1] * right
    slow = step * (above * (1 - down) + below * down)
    np.testing.assert_allclose(fast, slow, atol=1e-4 * step)


def test_a_cut_lattice_keeps_its_places() -> None:
    grid = Grid.over(3, 4, 103, 84, step=5)
    x, y = grid.coordinates()
    cut_x, cut_y = grid.crop(2, 9, 4, 11).coordinates()
    np.testing.assert_array_equal(cut_x, x[2:9, 4:11])
    np.testing.assert_array_equal(cut_y, y[2:9, 4:11])
