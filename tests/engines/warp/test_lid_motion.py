"""Lids of open eyes are never quite still, and open with what is stressed."""

import numpy as np

from multitalk.engines.warp.lid_motion import LIMITS, LidMotion
from multitalk.timebase import FPS

MINUTE = 60 * FPS


def lids(seed: int, *, speaking: float = 1.0, stress: float = 0.0) -> np.ndarray:
    motion = LidMotion(seed, 0)
    return np.array([motion.step(speaking=speaking, stress=stress) for _ in range(MINUTE)])


def test_lids_drift_by_a_hundredth_of_an_eye_s_width_the_upper_one_more() -> None:
    shifts = np.array([lids(seed) for seed in range(6)])
    upper, lower = shifts.std(axis=(0, 1))
    assert 0.006 < upper < 0.014  # films: 0.013, looks included
    assert 0.3 * upper < lower < 0.8 * upper
    assert (np.abs(shifts) <= LIMITS).all()
    assert np.abs(np.diff(shifts, axis=1)).max() < 0.006  # no jump in a frame
    spans = [np.ptp(shifts[0, at : at + FPS, 0]) for at in range(0, MINUTE - FPS, FPS)]
    assert min(spans) > 0.002  # nor a second without a change


def test_eyes_are_wider_in_speech_and_with_a_stress() -> None:
    silent, spoken, stressed = (
        np.mean([lids(seed, speaking=share, stress=stress)[:, 0].mean() for seed in range(6)])
        for share, stress in ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3))
    )
    assert stressed < spoken - 0.01 < silent - 0.013  # down is positive
    assert not np.array_equal(lids(0), lids(1))
