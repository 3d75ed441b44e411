"""Phones, classes and the movement that they make."""

import numpy as np
import pytest

from multitalk.speech.coarticulation import (
    ARTICULATIONS,
    closure_pulses,
    coarticulate,
    mouth_curves,
    smooth,
)
from multitalk.speech.phonemes import (
    IPA_BY_VISEME,
    NUM_VISEMES,
    SILENCE,
    VISEMES,
    one_hot,
    viseme_sequence,
    visemes_of_ipa,
)


def names(phone: str) -> list[str]:
    return [VISEMES[viseme] for viseme in visemes_of_ipa(phone)]


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("m", ["PBM"]),
        ("ˈaɪ", ["A", "I"]),
        ("tʃ", ["SH"]),
        ("dz", ["S"]),
        ("ts", ["S"]),
        ("iː", ["I"]),
        ("ä", ["A"]),
        ("ɔ̃", ["O"]),
        ("ç", ["SH"]),
        ("pʲ", ["PBM"]),
        ("", []),
        ("_:", []),
        ("(en)", []),
        ("5", []),
    ],
)
def test_ipa_phones_have_their_classes(phone, expected):
    assert names(phone) == expected


def test_every_class_but_silence_has_symbols_and_no_symbol_has_two():
    assert {*IPA_BY_VISEME, "sil"} == set(VISEMES) == set(ARTICULATIONS)
    symbols = "".join(IPA_BY_VISEME.values())
    assert len(symbols) == len(set(symbols))


def test_a_diphthong_shares_its_time():
    sequence = viseme_sequence([(0.1, 0.3, (12, 10))], 20, rate=50)
    assert sequence.tolist() == [0] * 5 + [12] * 5 + [10] * 5 + [0] * 5


def test_phones_beyond_the_ends_are_cut():
    sequence = viseme_sequence([(-0.1, 0.04, (1,)), (0.06, 9.0, (2,))], 5, rate=50)
    assert sequence.tolist() == [1, 1, 0, 2, 2]


def test_equal_dominance_is_plain_smoothing():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(NUM_VISEMES), 60).astype(np.float32)
    target = random.random(NUM_VISEMES).astype(np.float32)
    ones = np.ones(NUM_VISEMES, np.float32)
    expected = smooth(probabilities @ target, 3.0)
    np.testing.assert_allclose(coarticulate(probabilities, target, ones, 3.0), expected, atol=1e-5)


def test_a_strong_phone_pulls_its_weak_neighbours():
    target = np.zeros(NUM_VISEMES, np.float32)
    target[12] = 1
    strong = np.ones(NUM_VISEMES, np.float32)
    strong[12] = 10
    sequence = np.full(40, 7, np.int8)
    sequence[18:22] = 12
    weak_pull, strong_pull = (
        coarticulate(one_hot(sequence), target, dominance, 3.0)
        for dominance in (np.ones_like(strong), strong)
    )
    assert (strong_pull >= weak_pull - 1e-6).all()
    assert strong_pull[15] > 2 * weak_pull[15]


@pytest.mark.parametrize("start", range(4))
def test_a_bilabial_of_one_step_is_whole_in_one_frame_at_least(start):
    bilabial = np.zeros(20, np.float32)
    bilabial[8 + start] = 1
    closure = closure_pulses(bilabial)
    assert closure[1::2].max() == 1
    assert (closure == 1).sum() == 2
    assert (closure > 0).sum() == 4


@pytest.mark.parametrize("length", [2, 3, 6])
def test_a_longer_bilabial_closes_the_lips_for_as_long_as_it_lasts(length):
    bilabial = np.zeros(20, np.float32)
    bilabial[8 : 8 + length] = 1
    np.testing.assert_array_equal(closure_pulses(bilabial) == 1, bilabial == 1)


def test_a_wide_vowel_opens_and_a_bilabial_inside_it_closes():
    sequence = np.full(60, VISEMES.index("A"), np.int8)
    sequence[28:33] = VISEMES.index("PBM")
    curves = mouth_curves(one_hot(sequence))
    assert curves.opening[10] == pytest.approx(1, abs=0.01)
    assert curves.opening[30] < 0.5
    assert curves.closure[30] == 1
    assert curves.closure[10] == 0


def test_silence_is_not_speaking():
    curves = mouth_curves(one_hot(np.full(10, SILENCE, np.int8)))
    assert not curves.speaking.any()
    assert not curves.closure.any()
