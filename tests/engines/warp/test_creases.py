import numpy as np
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.creases import Creases
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh

GREY = 150
FOREHEAD, BETWEEN_BROWS = 151, 9


def change_of(creases: Creases, **weights: float) -> NDArray[np.float32]:
    """Change of brightness of each pixel of the creases' region, which has not moved."""
    x0, y0, x1, y1 = creases.box
    places = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1)
    at = creases.on_map(places.astype(np.float32))
    return creases.change(pose(**weights).weights, at)


def around(change: NDArray[np.float32], creases: Creases, rig: Rig, landmark: int) -> np.ndarray:
    """The part of a change within 0.05 face heights of a landmark."""
    x, y = rig.points[landmark, :2].round().astype(int)
    column, row, reach = x - creases.box[0], y - creases.box[1], round(0.05 * rig.frame.height)
    return change[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach]


def plain(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Skin without a trace."""
    return np.full_like(portrait, GREY)


def rough(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Skin with faint level traces, by some per cent."""
    rows = np.random.default_rng(0).normal(GREY, 0.04 * GREY, (len(portrait), 1, 1))
    return np.broadcast_to(rows, portrait.shape).round().astype(np.uint8)


def test_a_forehead_at_rest_has_no_creases(portrait: NDArray[np.uint8], rig: Rig) -> None:
    creases = Creases(portrait, rig)
    for weights in ({}, {"brow": 0.15}, {"frown": 0.05}, {"brow": -0.5, "frown": -0.5}):
        assert not creases.are_seen(pose(**weights).weights)
        assert not change_of(creases, **weights).any()


def test_raised_brows_make_level_lines_and_drawn_ones_upright_lines(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    creases = Creases(rough(portrait), rig)
    raised = change_of(creases, brow=0.9)
    drawn = change_of(creases, frown=0.9)
    level = around(raised, creases, rig, FOREHEAD)
    upright = around(drawn, creases, rig, BETWEEN_BROWS)
    assert -0.08 < level.min() < -0.015
    assert -0.09 < upright.min() < -0.015
    assert level.max() < 0.03
    # Across a line it changes, along it hardly.
    assert np.abs(np.diff(level, axis=0)).max() > 3 * np.abs(np.diff(level, axis=1)).max()
    assert np.abs(np.diff(upright, axis=1)).max() > 2 * np.abs(np.diff(upright, axis=0)).max()
    assert abs(float(around(drawn, creases, rig, FOREHEAD).min())) < 0.01


def test_smooth_skin_hardly_folds(portrait: NDArray[np.uint8], rig: Rig) -> None:
    """Lines on young skin look drawn."""
    smooth, lined = (
        np.percentile(np.abs(change_of(Creases(skin, rig), brow=0.9)), 99)
        for skin in (plain(portrait), rough(portrait))
    )
    assert 0.002 < smooth < 0.4 * lined


def test_hair_over_the_forehead_has_no_creases(portrait: NDArray[np.uint8], rig: Rig) -> None:
    picture = rough(portrait)
    x = round(float(rig.points[FOREHEAD, 0]))
    brow = round(float(rig.points[list(mesh.BROWS), 1].min()))
    picture[:brow, x:] = 40  # a fringe on one side
    creases = Creases(picture, rig)
    change = change_of(creases, brow=0.9)
    middle = x - creases.box[0]
    margin = round(0.05 * rig.frame.height)
    assert np.abs(change[:, : middle - margin]).max() > 0.015
    assert np.abs(change[: brow - creases.box[1] - margin, middle + margin :]).max() < 0.002


def test_lines_that_the_photograph_shows_grow_deeper(portrait: NDArray[np.uint8], rig: Rig) -> None:
    smooth, lined = plain(portrait), plain(portrait)
    x, y = rig.points[FOREHEAD, :2].round().astype(int)
    half = round(0.15 * rig.frame.height)
    lined[y - 1 : y + 1, x - half : x + half] = round(0.9 * GREY)
    changes = [
        change_of(creases, brow=0.9)[y - creases.box[1], x - creases.box[0]]
        for creases in (Creases(smooth, rig), Creases(lined, rig))
    ]
    assert changes[1] < changes[0] - 0.01


def test_the_region_is_within_the_picture(portrait: NDArray[np.uint8], rig: Rig) -> None:
    x0, y0, x1, y1 = Creases(portrait, rig).box
    assert 0 <= x0 < x1 <= portrait.shape[1]
    assert 0 <= y0 < y1 <= portrait.shape[0]
    assert y0 < rig.points[FOREHEAD, 1] < y1
