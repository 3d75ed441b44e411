import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.engines.warp.smoothing import (
    fit_thin_plate,
    fit_thin_plates_without,
    interpolate_monotone,
    smoothstep,
    spline_through,
    thin_plate,
)


def test_smoothstep_is_flat_outside_and_rises_between() -> None:
    x = np.linspace(-1, 3, 401)
    y = smoothstep(x, 0.0, 2.0)
    assert y[0] == 0
    assert y[-1] == 1
    assert np.all(np.diff(y) >= 0)
    assert y[200] == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=9))
def test_a_spline_passes_through_its_points(points: list[tuple[float, float]]) -> None:
    curve = spline_through(np.array(points), steps=4)
    assert len(curve) == (len(points) - 1) * 4 + 1
    np.testing.assert_allclose(curve[::4], points, atol=1e-4)


def test_monotone_interpolation_hits_its_points_and_never_overshoots() -> None:
    xs, ys = np.array([0.0, 1, 2, 4, 5]), np.array([0.0, 0, 3, 3, 1])
    np.testing.assert_allclose(interpolate_monotone(xs, xs, ys), ys, atol=1e-12)
    dense = interpolate_monotone(np.linspace(-1, 6, 300), xs, ys)
    assert dense.min() >= -1e-12
    assert dense.max() <= 3 + 1e-12
    assert dense[0] == 0
    assert dense[-1] == 1


def test_a_thin_plate_is_the_same_wherever_the_picture_is() -> None:
    rng = np.random.default_rng(0)
    centres, places = rng.uniform(0, 300, (60, 2)), rng.uniform(0, 300, (600, 2))
    values = rng.normal(0, 5, (60, 2))
    here = thin_plate(centres, values, places, smoothing=1e-4, scale=100)
    far = thin_plate(centres + 4000, values, places + 4000, smoothing=1e-4, scale=100)
    np.testing.assert_allclose(here, far, atol=0.01)


def test_thin_plates_without_centres_are_those_of_the_others() -> None:
    draw = np.random.default_rng(0)
    centres, values = draw.uniform(0, 300, (40, 2)), draw.normal(size=(40, 3))
    left_out = ((3, 5, 21), (0, 39))
    found = fit_thin_plates_without(centres, values, left_out, smoothing=1e-4, scale=100)
    for some, weights in zip(left_out, found, strict=True):
        kept = np.setdiff1d(np.arange(40), some)
        alone = fit_thin_plate(centres[kept], values[kept], smoothing=1e-4, scale=100)
        np.testing.assert_allclose(np.delete(weights, some, 0), alone, atol=1e-8)
        assert not weights[list(some)].any()


def test_a_thin_plate_hits_its_centres_and_continues_a_plane() -> None:
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 100, (40, 2))
    values = rng.normal(size=(40, 3))
    exact = thin_plate(centres, values, centres, smoothing=0, scale=100)
    np.testing.assert_allclose(exact, values, atol=2e-3)
    plane = (centres @ [0.3, -0.2] + 5)[:, None]
    elsewhere = rng.uniform(-50, 150, (20, 2))
    found = thin_plate(centres, plane, elsewhere, smoothing=1e-3, scale=100)
    np.testing.assert_allclose(found[:, 0], elsewhere @ [0.3, -0.2] + 5, atol=2e-2)
