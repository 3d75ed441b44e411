import numpy as np

from multitalk.array_types import Array
from multitalk.engines.warp.lip_light import LipLight
from multitalk.engines.warp.smoothing import gaussian_blur

WIDTH = 120.0
RED = np.float32([170, 90, 90])
LIGHT = LipLight(WIDTH, np.array([0.0, 1.0]), RED, 0.8 * RED)


def opening_and_along() -> tuple[Array, Array]:
    """A gap 30 pixels high between two lips, from corner to corner, and the place along it."""
    opening = np.zeros((60, 140), np.float32)
    opening[15:45, 10:130] = 1
    along = np.tile((np.arange(140, dtype=np.float32) - 10) / WIDTH, (60, 1))
    return gaussian_blur(opening, 1.3), along


def rows_of_edge(view: Array, column: int) -> int:
    """Rows over which the upper edge goes from lip to mouth."""
    luma = view[:30, column].mean(-1)
    share = (luma - luma.min()) / (luma.max() - luma.min())
    return int(np.count_nonzero((share > 0.1) & (share < 0.9)))


def test_lips_end_more_softly_towards_the_corners() -> None:
    opening, along = opening_and_along()
    view = np.full((60, 140, 3), 180, np.float32)
    LIGHT.join(view, np.full_like(view, 20), opening, along)
    assert rows_of_edge(view, 20) >= rows_of_edge(view, 70) + 2


def test_it_is_darkest_under_the_upper_lip_and_lighter_the_wider_the_lips_part() -> None:
    opening, along = opening_and_along()
    lit = {}
    for opened in (0.05, 0.3):
        lit[opened] = np.full((60, 140, 3), 200, np.float32)
        LIGHT.shade(lit[opened], opening, along, opened=opened, rounding=0, spoken=1)
    under_upper, middle, over_lower = (lit[0.3][row, 70].mean() for row in (17, 32, 42))
    assert under_upper < 0.8 * over_lower
    assert over_lower < middle
    assert lit[0.05][17, 70].mean() < 0.9 * under_upper


def test_the_lining_of_the_cheeks_closes_the_corners() -> None:
    opening, along = opening_and_along()
    inside = np.zeros((60, 140, 3), np.float32)
    LIGHT.shade(inside, opening, along, opened=0.1, rounding=0, spoken=1)
    assert inside[30, 14, 0] > 40
    assert inside[25, 70].max() < 8


def test_teeth_in_the_lips_shade_are_redder_than_teeth_in_the_light() -> None:
    opening, along = opening_and_along()
    white = np.full((60, 140, 3), 200, np.float32)
    LIGHT.shade(white, opening, along, opened=0.15, rounding=0, spoken=1)
    shaded, lit = (white[row, 70, 0] / white[row, 70, 2] for row in (16, 30))
    assert shaded > 1.04 * lit
    grey = np.full((60, 140, 3), 200, np.float32)
    colourless = LipLight(WIDTH, np.array([0.0, 1.0]), np.full(3, 120, np.float32), 0.8 * RED)
    colourless.shade(grey, opening, along, opened=0.0, rounding=0, spoken=1)
    assert np.ptp(grey[10:50, 20:120], axis=2).max() < 0.1
