import numpy as np
import pytest

from multitalk.engines.warp.brow_motion import LIMITS, LOWEST, BrowPose, Brows
from multitalk.engines.warp.voice_cues import NO_CUE, Cue
from multitalk.timebase import FPS

MINUTE = 60 * FPS


def held(seed: int, *, frames: int = MINUTE, speaking: float = 1.0) -> np.ndarray:
    """Weights of the brows of an even voice, [frames, 5]."""
    brows = Brows(seed, 0)
    step = {"speaking": speaking, "stress": 0.0, "melody": 0.0, "cue": NO_CUE}
    return np.array([brows.step(**step) for _ in range(frames)])


def change_by(seed: int, start: int, **accent: float) -> np.ndarray:
    """How much higher each weight gets by an accent of six frames from a frame on, [5]."""
    plain, other = Brows(seed, 0), Brows(seed, 0)
    even = {"speaking": 1.0, "stress": 0.0, "melody": 0.0, "cue": NO_CUE}
    changes = [
        np.subtract(
            other.step(**(even | accent if start <= frame < start + 6 else even)),
            plain.step(**even),
        )
        for frame in range(start + 14)
    ]
    return np.max(changes, axis=0)


def test_the_same_seed_gives_the_same_brows_and_another_others() -> None:
    np.testing.assert_array_equal(held(1, frames=200), held(1, frames=200))
    assert np.abs(held(1, frames=200) - held(2, frames=200)).max() > 0.1


def test_brows_hold_attitudes_that_differ_in_shape() -> None:
    weights = np.concatenate([held(seed) for seed in range(6)])
    raised, frown, lean, squint, smile = weights.std(0)
    assert 0.12 < raised < 0.45
    assert 0.10 < frown < 0.40
    assert 0.06 < lean < 0.30
    assert 0.08 < squint < 0.35
    assert 0.04 < smile < 0.20
    assert np.corrcoef(weights[:, 0], weights[:, 4])[0, 1] > 0.3  # brows of interest are friendly
    # Held: a second later most of it is still there; not for good: seven seconds later it is not.
    drawn = held(0, frames=3 * MINUTE)[:, 1]
    soon, late = (np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1] for lag in (FPS // 2, 7 * FPS))
    assert soon > 0.5
    assert abs(late) < 0.25


def test_brows_are_never_quite_still_and_never_beyond_their_limits() -> None:
    for speaking in (0.0, 1.0):
        weights = held(3, speaking=speaking)
        assert np.abs(np.diff(weights[:, 0])).max() < 0.15  # no jump in a frame
        spans = [np.ptp(weights[at : at + FPS, 0]) for at in range(0, MINUTE - FPS, FPS)]
        assert min(spans) > 0.005
        assert (weights <= LIMITS).all()
        assert (weights >= LOWEST).all()


def test_who_is_silent_moves_the_brows_less() -> None:
    assert held(4, speaking=0.0)[:, :2].std() < 0.7 * held(4)[:, :2].std()


@pytest.mark.parametrize("accent", [{"stress": 0.35}, {"melody": 7.0}], ids=str)
def test_free_brows_rise_with_a_stress_and_with_a_high_pitch_and_drawn_ones_frown(
    accent: dict[str, float],
) -> None:
    num_drawn = 0
    for seed in range(6):
        weights = held(seed, frames=400)
        frown = weights[:, 1]
        free = (np.abs(frown) < 0.05) & (np.abs(weights[:, 0]) < 0.3)
        assert change_by(seed, int(free.argmax()), **accent)[0] > 0.1
        if frown.max() > 0.35:
            raised, frowned, *_ = change_by(seed, int(frown.argmax()) - 4, **accent)
            assert frowned > raised
            num_drawn += 1
    assert num_drawn > 1


def test_another_attitude_is_taken_with_the_first_word_of_a_phrase() -> None:
    changes = []
    for seed in range(20):
        with_voice, without = Brows(seed, 0), Brows(seed, 0)
        for frame in range(60):
            cue = Cue(onset=0.1) if frame >= 40 else NO_CUE
            began = with_voice.step(speaking=1.0, stress=0.0, melody=0.0, cue=cue)
            stayed = without.step(speaking=1.0, stress=0.0, melody=0.0, cue=NO_CUE)
        changes.append(np.abs(np.array(began) - stayed).max())
    assert np.mean(np.array(changes) > 0.03) > 0.6


def test_brows_scaled_beyond_a_face_are_limited() -> None:
    pose = BrowPose(0.8, 0.7, 0.0, -0.3, 0.1)
    assert pose.scaled(2.0) == (*LIMITS[:2], 0.0, LOWEST.squint, 0.2)
    assert pose.scaled(0.0) == (0, 0, 0, 0, 0)
