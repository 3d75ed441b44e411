"""Texts spoken one after the other: silence before, between and after; sounds where they are."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="the extra `speech` is needed")

from multitalk.schema import SpokenText
from multitalk.speech.narration import (
    AFTER_SECONDS,
    BEFORE_SECONDS,
    PAUSE_SECONDS,
    narrate,
)


@pytest.fixture(scope="module")
def speech():
    return narrate([SpokenText(text="Hello."), SpokenText(text="안녕하세요.")], field="f")


def test_sounds_are_without_gaps_and_as_long_as_the_sound(speech):
    edges = [(sound.start_seconds, sound.end_seconds) for sound in speech.phonemes]
    assert edges[0][0] == 0.0
    for (_, end), (start, _) in pairwise(edges):
        assert start == pytest.approx(end, abs=0.02)  # espeak begins a little late
    assert edges[-1][1] == pytest.approx(len(speech.samples) / speech.sample_rate, abs=2e-3)


def test_a_face_has_time_to_begin_and_to_end(speech):
    rate = speech.sample_rate
    assert np.abs(speech.samples[: round(BEFORE_SECONDS * rate)]).max() == 0
    assert np.abs(speech.samples[-round(AFTER_SECONDS * rate) :]).max() == 0
    first, *_, last = speech.phonemes
    assert (first.ipa, last.ipa) == ("", "")
    assert first.end_seconds == pytest.approx(BEFORE_SECONDS, abs=1e-3)
    assert last.end_seconds - last.start_seconds == pytest.approx(AFTER_SECONDS, abs=1e-3)


def test_there_is_a_pause_between_two_texts(speech):
    inner = [sound for sound in speech.phonemes[1:-1] if not sound.ipa]
    assert max(sound.end_seconds - sound.start_seconds for sound in inner) == pytest.approx(
        PAUSE_SECONDS, abs=0.05
    )


def test_the_sounds_are_heard_where_they_are_said_to_be(speech):
    """Vowels are loud, the pauses that we put in are silent: had one moved alone, they were not."""
    rate = speech.sample_rate

    def loudness(sound):
        heard = speech.samples[round(sound.start_seconds * rate) : round(sound.end_seconds * rate)]
        return float(np.sqrt(np.mean(np.square(heard))))

    vowels = [loudness(sound) for sound in speech.phonemes if sound.ipa.strip("ˈˌː") in {"ə", "ɐ"}]
    assert vowels
    assert min(vowels) > 0.02
