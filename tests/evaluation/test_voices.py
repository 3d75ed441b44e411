"""Voices are aligned with the video's sound."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.evaluation.voices import align_by_xcorr, bilabial_moments, pad_to_timeline
from multitalk.speech.synthesis import PhonemeTiming
from multitalk.timebase import SAMPLE_RATE


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


@pytest.mark.parametrize(("start", "seconds"), [(20, 100), (-15, 50)])
def test_a_voice_of_minutes_is_found_in_little_memory(start: int, seconds: int) -> None:
    rng = np.random.default_rng(seconds)
    voice = rng.normal(size=75 * SAMPLE_RATE).astype(np.float32)
    voice[: 12 * SAMPLE_RATE] *= 0.1  # its loudest part begins later
    first = start * SAMPLE_RATE + 123
    sound = pad_to_timeline(voice, first, seconds * SAMPLE_RATE)
    sound += 0.3 * rng.normal(size=len(sound)).astype(np.float32)
    tracemalloc.start()
    found, similarity = align_by_xcorr(voice, sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == first
    assert similarity > 0.5
    assert peak < 40 * 2**20  # the spectra of all of it would take 100 MiB


def test_a_loop_is_found_where_all_of_it_fits() -> None:
    rng = np.random.default_rng(0)
    voice = np.tile(rng.normal(size=20 * SAMPLE_RATE).astype(np.float32), 3)
    assert align_by_xcorr(voice, voice.copy())[0] == 0
    assert align_by_xcorr(voice, pad_to_timeline(voice, 777, len(voice) + 999))[0] == 777


def test_a_voice_that_is_not_there_is_not_similar() -> None:
    rng = np.random.default_rng(0)
    voice, sound = rng.normal(size=(2, 16000)).astype(np.float32)
    assert align_by_xcorr(voice, sound)[1] < 0.2
    assert align_by_xcorr(voice, np.zeros(16000, np.float32))[1] == 0


def test_m_b_and_p_are_bilabial_and_nothing_else() -> None:
    phones = [PhonemeTiming(i, i + 1, ipa) for i, ipa in enumerate(("m", "a", "pʰ", "b", "f", ""))]
    assert bilabial_moments(phones) == [(0, 1), (2, 3), (3, 4)]
