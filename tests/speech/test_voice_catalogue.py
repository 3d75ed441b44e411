"""Who speaks a text: women's and men's voices by measurement, their pitch and their speed."""

import math
import time
from functools import cache

import numpy as np
import pytest
from fundamental import median_hertz

from multitalk.schema import SpokenText
from multitalk.speech.espeak import (
    RECOMMENDED,
    inventory,
    parse_speaker,
    resolve_speaker,
    transpose,
)
from multitalk.speech.espeak import median_hertz as expected_hertz
from multitalk.speech.narration import narrate
from multitalk.speech.synthesis import DEFAULT_WORDS_PER_MINUTE, synthesize
from multitalk.speech.voice_catalogue import VoiceRecord, own_voices
from patience import wait_until

pytest.importorskip("espeakng_loader")

FEMALE, MALE = (165.0, 255.0), (85.0, 155.0)  # Hz
SENTENCES = {
    "en": "Maybe my brother bought five umbrellas.",
    "ko": "안녕하세요. 사진 한 장과 목소리만 있으면 제가 말할 수 있습니다.",
    "cmn": "爸爸妈妈都不怕冷。",
    "hi": "नमस्ते, मैं आपसे मिलकर बहुत खुश हूँ।",
    "vi": "Xin chào, tôi rất vui được gặp bạn.",
    "ar": "مرحبا بكم في مدينتنا الجميلة.",
}


def hertz(language: str, **manner) -> float:
    speech = synthesize(SENTENCES[language], language=language, **manner)
    return median_hertz(speech.samples, speech.sample_rate)


def test_a_tone_s_frequency_is_measured():
    time = np.arange(22_050) / 22_050
    for tone in (90.0, 200.0):
        wave = sum(np.sin(2 * np.pi * tone * n * time) / n for n in range(1, 9))
        assert median_hertz(wave, 22_050) == pytest.approx(tone, rel=0.01)


@pytest.mark.parametrize("language", SENTENCES)
def test_female_and_male_are_voices_of_a_woman_and_a_man_in_every_language(language):
    assert FEMALE[0] <= hertz(language, voice="female") <= FEMALE[1]
    assert MALE[0] <= hertz(language, voice=" Male ") <= MALE[1]


def test_a_breathy_voice_repeats_itself_at_another_time():
    first = synthesize("Hello.", language="en", voice="f5")
    began = int(time.time())
    wait_until(lambda: int(time.time()) > began)  # espeak-ng seeds its noise by the second
    again = synthesize("Hello.", language="en", voice="f5")
    np.testing.assert_array_equal(first.samples, again.samples)


def test_one_woman_speaks_a_text_in_two_languages():
    mixed = synthesize("안녕하세요, MultiTalk Serverless입니다.", language="ko", voice="female")
    named = synthesize("안녕하세요, MultiTalk Serverless입니다.", language="ko", voice="f5")
    np.testing.assert_array_equal(mixed.samples, named.samples)
    assert resolve_speaker("female", language="vi-vn-x-south") == "linda"


@pytest.mark.parametrize(
    ("gender", "name"), [(gender, name) for gender, names in RECOMMENDED.items() for name in names]
)
def test_the_recommended_voices_are_as_high_as_women_s_and_men_s(gender, name):
    low, high = FEMALE if gender == "female" else (80.0, MALE[1])
    assert low <= hertz("en", voice=name) <= high
    assert VoiceRecord(name, gender, recommended=True) in own_voices()


def test_the_own_voices_of_all_languages_are_men_s():
    own = inventory()["language_speakers"].values()
    pitches = [said["pitch"] for said in own if "pitch" in said]
    assert pitches
    assert all(MALE[0] <= expected_hertz(pitch) <= MALE[1] for pitch in pitches)


def test_the_data_say_a_speaker_s_gender_or_else_the_pitch_does():
    assert parse_speaker("x", {"gender": "female", "pitch": [80, 120]}).gender == "female"
    assert parse_speaker("x", {"gender": "male"}).gender == "male"
    assert parse_speaker("x", {}).gender == "male"
    assert parse_speaker("x", {"gender": "unknown", "pitch": [100, 210]}).gender == "female"
    assert parse_speaker("x", {"pitch": [240, 390]}).gender is None


@pytest.mark.parametrize(("name", "gender"), [("shelby", "female"), ("Mario", "male")])
def test_where_the_data_say_nothing_the_gender_is_what_is_measured(name, gender):
    assert "gender" not in inventory()["variants"][name]
    low, high = FEMALE if gender == "female" else MALE
    assert low <= hertz("en", voice=name) <= high
    assert VoiceRecord(name, gender) in own_voices()


def test_the_list_begins_with_female_male_and_the_recommended_ones():
    voices = own_voices()
    assert [voice.name for voice in voices[:2]] == ["female", "male"]
    assert [voice.name for voice in voices[2:18]] == [*RECOMMENDED["female"], *RECOMMENDED["male"]]
    assert not any(voice.recommended for voice in voices[18:])
    assert {"whisper", "croak", "zac"} <= {voice.name for voice in voices[18:]}


@cache
def height(voice: str | None, semitones: float) -> float:
    return hertz("en", voice=voice, semitones=semitones)


@pytest.mark.parametrize("voice", [None, "f3", "Annie"])
@pytest.mark.parametrize("semitones", [-6, 3, 7])
def test_a_semitone_is_a_semitone(voice, semitones):
    moved = 12 * math.log2(height(voice, semitones) / height(voice, 0))
    assert moved == pytest.approx(semitones, abs=0.8)


def test_a_pitch_out_of_reach_is_noticed_and_one_within_is_not():
    assert transpose((82, 118), 0) == transpose((120, 280), 0)
    assert not transpose((82, 118), 9).notices
    (notice,) = transpose((82, 118), 12).notices
    assert notice.parameters["asked"] == 12
    assert notice.parameters["reached"] == pytest.approx(10.3, abs=0.1)
    (notice,) = transpose((82, 118), -12).notices
    assert notice.parameters["reached"] == pytest.approx(-9.0, abs=0.1)


def test_the_notice_of_a_pitch_reaches_the_narration():
    said = [SpokenText(text="Hello.", pitch=12.0), SpokenText(text="Hello.", pitch=1.0)]
    (notice,) = narrate(said, field="audio_paths.p").notices
    assert notice.key == "pitch_out_of_reach"


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_a_text_at_a_speed_lasts_as_much_longer_or_shorter(speed):
    text = "Maybe my brother bought five purple umbrellas before the summer rain in May."
    plain, changed = (
        synthesize(text, words_per_minute=DEFAULT_WORDS_PER_MINUTE * factor)
        for factor in (1.0, speed)
    )
    assert len(plain.samples) / len(changed.samples) == pytest.approx(speed, rel=0.12)
    spoken = narrate([SpokenText(text=text, speed=speed)], field="audio_paths.p")
    assert len(spoken.samples) - len(changed.samples) < 0.6 * spoken.sample_rate
