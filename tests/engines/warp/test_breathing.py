import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.breathing import AT_REST, DEPTH, DEPTHS, IN_SECONDS, Breathing
from multitalk.engines.warp.voice_cues import NO_CUE, Cue

VOICE = 100  # frame in which it begins


def breaths(seed: int, *, known: float) -> NDArray[np.float64]:
    """Chest, lips and chin [T, 3] around a voice that is known of so many seconds before it."""
    breathing = Breathing(np.random.default_rng(seed))
    rows = []
    for frame in range(2 * VOICE):
        left = (VOICE - frame) / 25
        breath = breathing.step(Cue(left) if 0 < left <= known else NO_CUE)
        rows.append((breath.chest, breath.parted, breath.drawn))
    return np.array(rows)


def test_before_the_voice_the_chest_rises_and_the_lips_part() -> None:
    for seed in range(5):
        chest, lips, chin = breaths(seed, known=0.7).T
        begins = VOICE - round(25 * IN_SECONDS)
        assert chest[:begins].max() < 2.5 * AT_REST
        assert np.all(lips[:begins] == 0)
        assert DEPTHS[0] * DEPTH * 0.9 < chest[VOICE] < DEPTHS[1] * DEPTH * 1.1
        assert lips[VOICE - 3] > 0.7
        assert chin[VOICE - 3] > 0.6
        assert np.abs(np.diff(chest)).max() < 0.2 * DEPTH  # a rise, no jolt


def test_a_breath_is_spent_slowly_and_the_lips_are_the_voices() -> None:
    chest, lips, chin = breaths(0, known=0.7).T
    assert max(lips[VOICE + 12 :].max(), chin[VOICE + 25 :].max()) < 0.02
    assert chest[VOICE + 25] > 0.4 * chest[VOICE]
    assert np.abs(chest[-1] - breaths(0, known=0.0)[-1, 0]) < 0.15 * DEPTH


def test_lips_stay_parted_in_a_pause_that_is_short_and_else_part_for_the_breath_only() -> None:
    for pause, stays in ((17, True), (40, False)):
        breathing = Breathing(np.random.default_rng(0))
        lips = []
        for frame in range(pause):
            left = (pause - frame) / 25
            onset = left if left < 0.72 else float("inf")
            lips.append(breathing.step(Cue(onset, ends=frame == 0)).parted)
        assert (min(lips[6:]) > 0.5) == stays
        assert lips[-1] > 0.9


def test_the_later_a_voice_is_known_of_the_smaller_is_its_breath() -> None:
    sizes = [breaths(0, known=known)[VOICE - 1 : VOICE + 5].max(0) for known in (0, 0.1, 0.3, 0.7)]
    assert np.all(np.diff(np.array(sizes)[:, 1:], axis=0) > 0)
    assert np.all(sizes[0][1:] == 0)


def test_breath_is_the_seeds() -> None:
    np.testing.assert_array_equal(breaths(1, known=0.7), breaths(1, known=0.7))
    assert np.any(breaths(1, known=0.7) != breaths(2, known=0.7))
