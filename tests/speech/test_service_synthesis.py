"""Texts spoken by another synthesizer: alone, beside our own, and as a job."""

import json
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from fake_engine import FakeEngine
from multitalk.errors import Cancelled, InvalidRequest, LimitExceeded, SpeechUnavailable
from multitalk.media.audio import read_sound
from multitalk.media.loudness import LoudnessMeter
from multitalk.schema import SpokenText, parse_request
from multitalk.settings import Settings
from multitalk.speech.narration import narrate
from multitalk.speech.service_synthesis import service_synthesizer, stretches
from multitalk.speech.synthesis import are_known
from multitalk.speech.voice_catalogue import catalogue, speaking
from run_jobs import render_to
from speech_stand_in import SAMPLE_RATE, SECONDS_PER_CHARACTER, send, speech_service, tone

pytest.importorskip("espeakng_loader")

REST_SECONDS, PAUSE_SECONDS = 0.56, 0.4  # before and after a speech; between two texts


def settings_of(service, **more) -> Settings:
    return replace(Settings.from_env({"MULTITALK_SPEECH_URL": service.url}), **more)


def said(text: str, voice: str | None = "tts:af_sky", **more) -> SpokenText:
    return SpokenText(text=text, voice=voice, **more)


def spoken(service, directory, *texts: SpokenText, **more):
    outside = service_synthesizer(settings_of(service, **more), directory)
    return narrate(texts, field="audio_paths.p", outside=outside)


def test_a_service_speaks_the_plain_text_at_the_speed(tmp_path):
    with speech_service() as service:
        speech = spoken(service, tmp_path, said("**Hello** there. 😀", speed=1.25))
    (asked,) = service.requests
    assert asked.body["input"] == "Hello there."
    assert (asked.body["voice"], asked.body["speed"]) == ("af_sky", 1.25)
    assert speech.sample_rate == SAMPLE_RATE
    seconds = len(speech.samples) / SAMPLE_RATE
    assert seconds == pytest.approx(12 * SECONDS_PER_CHARACTER / 1.25 + REST_SECONDS, abs=0.01)
    assert not are_known(speech.phonemes)
    assert list(tmp_path.iterdir()) == []


def test_line_ends_of_a_text_are_sent(tmp_path):
    with speech_service() as service:
        spoken(service, tmp_path, said("# Hello\n\n- How are *you*?\n- Well."))
    assert service.requests[0].body["input"] == "Hello\nHow are you?\nWell."


def test_one_speaker_s_texts_may_be_spoken_by_both(tmp_path):
    own = narrate([said("안녕하세요.", "female")], field="f")
    with speech_service() as service:
        speech = spoken(service, tmp_path, said("Hello there."), said("안녕하세요.", "female"))
    assert len(service.requests) == 1
    seconds = len(speech.samples) / speech.sample_rate
    alone = len(own.samples) / own.sample_rate + 12 * SECONDS_PER_CHARACTER
    assert (speech.sample_rate, own.sample_rate) == (SAMPLE_RATE, 22_050)
    assert seconds == pytest.approx(alone + PAUSE_SECONDS, abs=0.02)
    ours = own.resampled(SAMPLE_RATE)
    half = len(ours) // 2  # its place is exact to a part of a sample
    assert np.corrcoef(speech.samples[-half:], ours[-half:])[0, 1] > 0.9
    assert not are_known(speech.phonemes)
    assert are_known(own.phonemes)


def test_texts_by_both_are_equally_loud(tmp_path):
    texts = said(3 * "Hello there. "), said("My brother bought five umbrellas.", "female")
    quiet = tone(2.0, size=1000)
    with speech_service(lambda handler, _: send(handler, 200, quiet)) as service:
        speech = spoken(service, tmp_path, *texts)
        alone = spoken(service, tmp_path, texts[0])
    end = len(alone.samples) - round(0.32 * SAMPLE_RATE)  # of the first text

    def loudness(samples):
        meter = LoudnessMeter(SAMPLE_RATE, 1)
        meter.add(samples[None])
        return meter.integrated()

    assert loudness(speech.samples[:end]) == pytest.approx(loudness(speech.samples[end:]), abs=1.5)
    assert abs(loudness(alone.samples) - loudness(speech.samples[end:])) > 3


def test_what_nobody_can_say_is_not_sent(tmp_path):
    with speech_service() as service, pytest.raises(InvalidRequest) as caught:
        spoken(service, tmp_path, said("Hi."), said("😀 …"))
    assert (caught.value.field, caught.value.key) == ("audio_paths.p.1.text", "text_unspeakable")


def test_a_refused_voice_is_told_with_its_place(tmp_path):
    with (
        speech_service(lambda handler, _: send(handler, 404)) as service,
        pytest.raises(InvalidRequest) as caught,
    ):
        spoken(service, tmp_path, said("Hello."))
    assert caught.value.field == "audio_paths.p.voice"


def test_a_long_text_is_sent_in_parts_that_services_take(tmp_path):
    sentences = [f"This is sentence number {number}." for number in range(200)]
    with speech_service() as service:
        speech = spoken(service, tmp_path, said(" ".join(sentences)))
    parts = [asked.body["input"] for asked in service.requests]
    assert len(parts) == 2
    assert max(map(len, parts)) <= 4000
    assert all(part.endswith(".") for part in parts)
    assert " ".join(parts) == " ".join(sentences)
    seconds = sum(map(len, parts)) * SECONDS_PER_CHARACTER + REST_SECONDS
    assert len(speech.samples) / SAMPLE_RATE == pytest.approx(seconds, abs=0.01)


def test_too_long_a_speech_is_refused(tmp_path):
    with speech_service() as service, pytest.raises(LimitExceeded) as caught:
        spoken(service, tmp_path, said(20 * "Hello there. "), max_speech_seconds=5.0)
    assert (caught.value.field, caught.value.key) == ("audio_paths.p.text", "speech_too_long")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sound", [tone(0.0), tone(1.0)[:44], b"OggS\0" + 5000 * b"x"])
def test_a_file_in_which_nothing_sounds_is_no_speech(tmp_path, sound):
    with (
        speech_service(lambda handler, _: send(handler, 200, sound)) as service,
        pytest.raises(Exception, match=r"cannot be decoded|broke off|not a sound") as caught,
    ):
        spoken(service, tmp_path, said("Hello."))
    assert caught.value.http_status in (502, 503)


def test_without_a_service_such_a_voice_is_refused():
    assert service_synthesizer(Settings(), None) is None
    with pytest.raises(InvalidRequest, match="MULTITALK_SPEECH_URL"):
        narrate([said("Hello.")], field="f")


def test_the_prefix_may_be_in_capitals_and_a_name_follows_it(tmp_path):
    with speech_service() as service:
        spoken(service, tmp_path, said("Hello.", "TTS: Sky"))
        settings = settings_of(service)
    assert service.requests[0].body["voice"] == "Sky"
    job = {"prompt": "p", "image_path": "i", "audio_paths": {"p": {"text": "x", "voice": "tts: "}}}
    with pytest.raises(InvalidRequest, match="followed by the name of a voice"):
        parse_request(job, settings=settings)


def test_pitch_is_refused_before_anything_is_asked():
    job = {"prompt": "p", "image_path": "i", "audio_paths": {"p": {"text": "x", "pitch": 1}}}
    job["audio_paths"]["p"]["voice"] = "tts:sky"
    settings = Settings.from_env({"MULTITALK_SPEECH_URL": "http://127.0.0.1:1"})
    with pytest.raises(
        InvalidRequest, match="tts:sky is a voice of a speech service, which takes no pitch"
    ):
        parse_request(job, settings=settings)
    job["audio_paths"]["p"]["pitch"] = 0
    parse_request(job, settings=settings)


def test_stretches_say_where_there_is_sound():
    samples = np.concatenate([np.zeros(2400), np.ones(7200), np.zeros(4800), np.ones(240)])
    found = stretches(samples.astype(np.float32), 24_000)
    assert found[0].start_seconds == 0
    assert found[-1].end_seconds == pytest.approx(len(samples) / 24_000)
    assert all(one.end_seconds == two.start_seconds for one, two in pairwise(found))
    pauses = [(sound.start_seconds, sound.end_seconds) for sound in found if not sound.ipa]
    assert pauses == [pytest.approx((0.4, 0.6))]


# As a job ---------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path):
    """Render a job of one text, by a service."""
    (tmp_path / "work").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "face.png")

    def render(service, *, cancelled=None, text="Hello there. How are you today?", **said):
        settings = settings_of(service, allowed_roots=(tmp_path,), work_directory=tmp_path / "work")
        voice = {"text": text, "voice": "tts:af_sky", **said}
        given = {"prompt": "p", "image_path": "face.png", "audio_paths": {"p": voice}}
        return render_to(tmp_path / "talk.mp4", given, FakeEngine(), settings, cancelled=cancelled)

    yield render
    assert list((tmp_path / "work").iterdir()) == []


def test_a_job_speaks_with_the_service_s_voice(job):
    with speech_service() as service:
        talk = job(service)
    assert len(service.requests) == 1
    seconds = 31 * SECONDS_PER_CHARACTER + REST_SECONDS
    assert talk.num_frames / 25 == pytest.approx(seconds, abs=0.04)
    heard = read_sound(talk.video)
    assert np.abs(heard).max() > 0.1
    assert talk.phonemes == {}
    assert [caption.text for caption in talk.captions] == ["Hello there.", "How are you today?"]


def test_a_service_that_is_not_well_fails_the_job_with_its_sentence(job):
    with (
        speech_service(lambda handler, _: send(handler, 401)) as service,
        pytest.raises(SpeechUnavailable, match="MULTITALK_SPEECH_KEY"),
    ):
        job(service)


def test_a_job_taken_back_while_the_service_speaks_ends(job):
    cancelled = threading.Event()

    def hesitant(handler, asked):
        cancelled.set()
        handler.rfile.read(1)  # until the other side hangs up

    with speech_service(hesitant) as service, pytest.raises(Cancelled):
        job(service, cancelled=cancelled)


# The list ---------------------------------------------------------------------------------------


def test_the_service_s_voices_are_listed_with_what_is_known_of_them():
    with speech_service() as service:
        told = catalogue(settings_of(service))
    names = [voice["name"] for voice in told["voices"]]
    assert names[:6] == ["female", "male", "tts:af_sky", "tts:bm_george", "tts:narrator", "f5"]
    sky, george, narrator = told["voices"][2:5]
    assert (sky["gender"], sky["languages"]) == ("female", ("en-us",))
    assert (george["gender"], george["languages"]) == ("male", ("en-gb",))
    assert (narrator["gender"], narrator["languages"]) == (None, None)
    assert told["warnings"] == []
    korean = [voice["name"] for voice in speaking(told["voices"], "ko")]
    assert "tts:narrator" in korean
    assert "tts:af_sky" not in korean


def test_another_server_of_ours_says_the_genders_itself():
    body = {"voices": [{"id": "f5", "gender": "female", "languages": None}]}
    answer = json.dumps(body).encode()
    with speech_service(lambda handler, _: send(handler, 200, answer)) as service:
        voice = catalogue(settings_of(service))["voices"][2]
    assert (voice["name"], voice["gender"], voice["languages"]) == ("tts:f5", "female", None)


@pytest.mark.parametrize(("status", "warned"), [(404, False), (500, True), (401, True)])
def test_a_service_without_a_list_leaves_our_own(status, warned):
    with speech_service(lambda handler, _: send(handler, status)) as service:
        told = catalogue(settings_of(service), "ko")
    assert [voice["name"] for voice in told["voices"][:3]] == ["female", "male", "f5"]
    assert len(told["warnings"]) == warned
    assert all("음성 서비스" in warning for warning in told["warnings"])
