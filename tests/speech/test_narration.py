"""Texts spoken one after the other: silence before, between and after; sounds where they are."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="the extra `speech` is needed")

from multitalk.errors import Cancelled, LimitExceeded
from multitalk.schema import SpokenText
from multitalk.speech.narration import (
    AFTER_SECONDS,
    BEFORE_SECONDS,
    PAUSE_SECONDS,
    _joined,
    match_loudness,
    narrate,
)
from multitalk.speech.synthesis import UNKNOWN_SOUND, PhonemeTiming, SynthesizedSpeech


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


def test_speaking_stops_where_a_voice_is_as_long_as_it_may_be():
    texts, spoken = [SpokenText(text="One, two, three, four.")] * 8, []
    with pytest.raises(LimitExceeded, match=r"^f: more than 4 s of audio"):
        narrate(texts, field="f", max_seconds=4.0, check_cancelled=lambda: spoken.append(1))
    assert 2 <= len(spoken) <= 4
    with pytest.raises(LimitExceeded, match=r"^f: more than 2 s of audio"):
        narrate([SpokenText(text="1 2 3 4 5 6 7 8 9 " * 100)], field="f", max_seconds=2.0)


def test_speaking_stops_when_it_is_asked_to():
    left = iter([None])

    def check_cancelled():
        if next(left, "no more") is not None:
            raise Cancelled

    with pytest.raises(Cancelled):
        narrate([SpokenText(text="One.")] * 3, field="f", check_cancelled=check_cancelled)


def test_of_long_speech_there_is_one_copy():
    second = np.zeros(16_000 * 60, np.float32)
    parts = [SynthesizedSpeech(second.copy(), 16_000, ()) for _ in range(12)]
    size = 12 * second.nbytes
    tracemalloc.start()
    speech = _joined(parts, BEFORE_SECONDS, AFTER_SECONDS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert speech.samples.nbytes > size
    assert peak < 1.2 * speech.samples.nbytes  # what was there before is not counted
    assert not parts


@pytest.mark.parametrize(("second", "most_bytes"), [("a", 2**20), (UNKNOWN_SOUND, 20 * 2**20)])
def test_loudness_is_matched_in_little_memory(second: str, most_bytes: int) -> None:
    """Of 8 MB of samples; nothing is measured where all are spoken by one synthesizer."""
    rate = 22_050
    noise = np.random.default_rng(0).normal(0, 0.1, 90 * rate).astype(np.float32)
    parts = [
        SynthesizedSpeech(samples, rate, (PhonemeTiming(0.0, 90.0, ipa),))
        for samples, ipa in ((noise, "a"), (noise / 4, second))
    ]
    tracemalloc.start()
    matched = match_loudness(parts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most_bytes
    level = 0.1 if second == UNKNOWN_SOUND else 0.025
    assert matched[1].samples.std() == pytest.approx(level, rel=0.02)
