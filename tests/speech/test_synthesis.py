"""Speech from text, by the real synthesizer in its own process."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from multitalk.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InvalidRequest,
    LimitExceeded,
)
from multitalk.speech import espeak, synthesis
from multitalk.speech.espeak import inventory, list_languages, list_voices
from multitalk.speech.phonemes import visemes_of_ipa
from multitalk.speech.synthesis import (
    MAX_CHARACTERS,
    PhonemeTiming,
    phoneme_timings,
    phoneme_track,
    synthesize,
)
from multitalk.speech.text.languages import language_code

espeakng_loader = pytest.importorskip("espeakng_loader")


def test_phonemes_follow_one_another_from_the_first_to_the_last_sample():
    speech = synthesize("Maybe my mother, or Bob.", language="en")
    times = [(p.start_seconds, p.end_seconds) for p in speech.phonemes]
    assert times[0][0] == 0
    assert all(start < end for start, end in times)
    assert all(end == start for (_, end), (start, _) in pairwise(times))
    assert times[-1][1] == pytest.approx(len(speech.samples) / speech.sample_rate)
    assert "".join(p.ipa for p in speech.phonemes).startswith("mˈeɪ")


def test_the_same_text_gives_the_same_samples():
    first, second = (synthesize("Good morning.", voice="klatt3") for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.phonemes == second.phonemes


@pytest.mark.parametrize(
    ("code", "same"),
    [("zh", "cmn"), ("zh-CN", "cmn"), ("ko-KR", "ko"), ("EN_us", "en-us"), ("pt-BR", "pt-br")],
)
def test_other_names_of_a_language_mean_it(code, same):
    assert language_code(code) == same


def test_common_languages_are_spoken():
    codes = set(list_languages())
    assert {"ko", "en-us", "en-gb", "cmn", "ja", "es", "ar", "fr-fr", "de", "hi", "nb"} <= codes
    assert {"f4", "Michael"} <= set(list_voices())


def test_an_unknown_language_is_refused_with_near_ones():
    with pytest.raises(InvalidRequest, match="es") as caught:
        synthesize("hello", language="ess")
    assert caught.value.field == "language"


def test_an_unknown_voice_is_refused_with_near_ones():
    with pytest.raises(InvalidRequest, match="Michael") as caught:
        synthesize("hello", voice="Micheal")
    assert caught.value.field == "voice"


@pytest.mark.parametrize("text", ["", "  \n\t", "...", "\x00\x01"])
def test_text_without_words_is_refused(text):
    with pytest.raises(InvalidRequest):
        synthesize(text)


def test_text_beyond_the_limit_is_refused():
    with pytest.raises(LimitExceeded):
        synthesize("a" * (MAX_CHARACTERS + 1))


def test_speech_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(synthesis, "MAX_SECONDS", 1.0)
    with pytest.raises(LimitExceeded):
        synthesize("One two three four five six seven eight nine ten.")


def test_a_long_path_to_the_data_is_no_problem(tmp_path):
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    longer = tmp_path / ("x" * 120) / "espeak-ng-data"
    longer.parent.mkdir()
    longer.symlink_to(data, target_is_directory=True)
    script = (
        "import sys; from multitalk.speech.espeak_process import load_from\n"
        "print(load_from(sys.argv[1], sys.argv[2]).sample_rate)"
    )
    command = [sys.executable, "-c", script, str(library), str(longer)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"22050\n"


def test_control_characters_do_not_command_the_synthesizer():
    plain, commanded = synthesize("hello 99P you"), synthesize("hello \x0199P you\x00")
    assert plain.phonemes == commanded.phonemes


def test_markup_is_read_not_obeyed():
    marked = synthesize('hello <break time="30s"/> [[b@]] you')
    assert len(marked.samples) / marked.sample_rate < 12


def test_a_faster_voice_is_shorter():
    slow, fast = (synthesize("Good morning to you.", words_per_minute=w) for w in (100, 250))
    assert len(fast.samples) < 0.7 * len(slow.samples)


def test_a_synthesizer_that_takes_too_long_is_stopped():
    with pytest.raises(DeadlineExceeded):
        synthesize("hello", timeout_seconds=1e-3)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(espeak, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="pip install espeakng-loader=="):
        espeak.run_espeak({}, 1)


def test_a_failing_process_is_one_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(EngineUnavailable):
        espeak.run_espeak({}, 1)


def test_a_text_that_ends_the_synthesizer_is_a_sentence_about_the_text():
    own = {"voice": inventory()["languages"]["en-us"], "pitch": 50, "pitch_range": 50}
    request = {"pieces": [{"text": "a." * 400, **own}], "words_per_minute": 160, "max_seconds": 60}
    with pytest.raises(InvalidRequest, match="this text cannot be spoken") as caught:
        espeak.run_espeak(request, 60)
    assert caught.value.field == "text"
    assert "말할 수 없습니다" in caught.value.text("ko")


def test_resampled_speech_keeps_its_tone_and_time():
    rate = 22_050
    time = np.arange(rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    speech = synthesis.SynthesizedSpeech(tone, rate, ())
    resampled = speech.resampled(16_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(resampled) == 16_000
    np.testing.assert_allclose(resampled[200:-200], expected[200:-200], atol=2e-3)


def test_empty_phonemes_are_dropped_and_the_last_ends_with_the_sound():
    timings = phoneme_timings([(0, "a"), (50, ""), (50, "b")], 100, 80)
    assert timings == (PhonemeTiming(0, 0.5, "a"), PhonemeTiming(0.5, 0.8, "b"))


def test_the_track_of_known_phonemes_closes_at_its_bilabials():
    speech = synthesize("Bob may pump")
    track = phoneme_track(speech.phonemes, 40)
    for phoneme in speech.phonemes:
        if visemes_of_ipa(phoneme.ipa) == (1,):
            middle = (phoneme.start_seconds + phoneme.end_seconds) / 2
            assert track.closure[int(middle * 25)] == 1


def test_a_last_consonant_that_is_drawn_into_its_vowel_is_not_lost():
    said = [synthesize(text).phonemes[-2].ipa[-1] for text in ("살", "물", "all well")]
    assert said == ["ɫ", "ɫ", "l"]
