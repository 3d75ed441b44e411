"""Voices are aligned with the video's sound."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.evaluation.voices import align_by_xcorr, bilabial_moments, pad_to_timeline
from multitalk.speech.synthesis import PhonemeTiming


@given(start=st.integers(-3000, 9000), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_a_voice_is_found_where_it_begins(start: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    voice = rng.normal(size=8000).astype(np.float32)
    other = rng.normal(size=16000).astype(np.float32)
    found, similarity = align_by_xcorr(
        voice, pad_to_timeline(voice, start, 16000) * 0.3 + other * 0.2
    )
    assert found == start
    assert similarity > 0.5


def test_a_voice_that_is_not_there_is_not_similar() -> None:
    rng = np.random.default_rng(0)
    voice, sound = rng.normal(size=(2, 16000)).astype(np.float32)
    assert align_by_xcorr(voice, sound)[1] < 0.2
    assert align_by_xcorr(voice, np.zeros(16000, np.float32))[1] == 0


def test_m_b_and_p_are_bilabial_and_nothing_else() -> None:
    phones = [PhonemeTiming(i, i + 1, ipa) for i, ipa in enumerate(("m", "a", "pʰ", "b", "f", ""))]
    assert bilabial_moments(phones) == [(0, 1), (2, 3), (3, 4)]
