"""The client of a speech service: what it sends, and what it says about every bad answer."""

import json
import logging
import struct
import threading
import time
import wave
from email.utils import formatdate

import pytest
from loopback_server import certificate, replying, serving

from multitalk.errors import (
    Cancelled,
    InvalidRequest,
    LimitExceeded,
    MultiTalkError,
    SpeechFailed,
    SpeechUnavailable,
)
from multitalk.inputs.speech_service import ServiceVoice, SpeechService
from multitalk.media.audio_decoder import sound_blocks
from multitalk.settings import Settings
from speech_stand_in import SAMPLE_RATE, send, speech_service, tone

KEY = "sk-very-secret-0123456789"


def settings_of(url: str, **more) -> Settings:
    return Settings.from_env(
        {"MULTITALK_SPEECH_URL": url, "MULTITALK_SPEECH_KEY": KEY}
        | {f"MULTITALK_{name.upper()}": str(value) for name, value in more.items()}
    )


def spoken(url: str, directory, *, cancelled=lambda: False, speed=1.0, **more):
    service = SpeechService(settings_of(url, **more), cancelled=cancelled)
    return service.speak("Hello there.", voice="af_sky", speed=speed, directory=directory)


def refusal(answer, directory, kind, **more) -> str:
    """What is said about an answer, in both languages; the key is in neither."""
    with speech_service(answer) as service, pytest.raises(kind) as caught:
        spoken(service.url, directory, **more)
    assert type(caught.value) is kind
    assert list(directory.iterdir()) == []
    both = [caught.value.text("en"), caught.value.text("ko")]
    assert not any(KEY in said for said in both)
    return both[0]


def answering(status: int, content: bytes = b"", **headers: str):
    return lambda handler, asked: send(handler, status, content, **headers)


# What goes out and comes in ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/audio/speech"])
def test_requests_have_the_form_of_openai_s_api(tmp_path, path):
    with speech_service() as service:
        file = spoken(service.url + path, tmp_path, speed=1.25, speech_model="kokoro")
    (asked,) = service.requests
    assert asked.line == "POST /v1/audio/speech HTTP/1.1"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.body == {
        "model": "kokoro",
        "input": "Hello there.",
        "voice": "af_sky",
        "response_format": "wav",
        "speed": 1.25,
    }
    with wave.open(str(file)) as wav:
        assert wav.getframerate() == SAMPLE_RATE
        assert wav.getnframes() / SAMPLE_RATE == pytest.approx(12 * 0.05 / 1.25)


def test_a_service_below_a_path_and_without_a_key(tmp_path):
    with speech_service() as service:
        settings = Settings.from_env({"MULTITALK_SPEECH_URL": service.url + "/tts/v1"})
        SpeechService(settings).speak("Hi.", voice="a", speed=1.0, directory=tmp_path)
    assert service.requests[0].line == "POST /tts/v1/audio/speech HTTP/1.1"
    assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_file_that_was_streamed_does_not_know_its_length(tmp_path, size):
    sound = bytearray(tone(1.0))
    struct.pack_into("<I", sound, 4, size)  # of the file
    struct.pack_into("<I", sound, 40, size)  # of the samples
    with speech_service(answering(200, bytes(sound))) as service:
        file = spoken(service.url, tmp_path)
    blocks = sound_blocks(file, sample_rate=SAMPLE_RATE, num_channels=1)
    assert sum(block.shape[1] for block in blocks) == SAMPLE_RATE


# What may go wrong ------------------------------------------------------------------------------


def told(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "x"}}).encode()


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key(tmp_path, status):
    body = told(f"Incorrect API key provided: {KEY}")
    said = refusal(answering(status, body), tmp_path, SpeechUnavailable)
    assert f"HTTP {status}" in said
    assert "MULTITALK_SPEECH_KEY" in said


def test_an_unknown_voice_is_the_caller_s_to_change(tmp_path):
    said = refusal(answering(404, told("no voice\naf_sky")), tmp_path, InvalidRequest)
    assert said.startswith(
        "voice: the speech service has no voice af_sky, or is not at its address"
    )
    assert "(HTTP 404: no voice af_sky)" in said


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (told(f"bad input {KEY}"), "bad input [key]"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"detail": [{"loc": ["voice"]}]}', '[{"loc": ["voice"]}]'),
        (b'{"message": "' + 500 * b"x" + b'"}', 160 * "x" + "…"),
        (b"<html>secret page</html>", "-"),
        (b"", "-"),
        (8000 * b"[", "-"),
    ],
)
def test_a_refused_text_or_voice_is_reported_in_the_service_s_words(tmp_path, body, reason):
    said = refusal(answering(400, body), tmp_path, InvalidRequest)
    assert f"(HTTP 400: {reason})" in said


def test_a_busy_service_says_when_to_come_back(tmp_path):
    said = refusal(answering(429, Retry_After="17"), tmp_path, SpeechFailed)
    assert "try again in 17 s" in said
    until = formatdate(time.time() + 3600, usegmt=True)
    assert "try again in 3" in refusal(answering(503, Retry_After=until), tmp_path, SpeechFailed)
    assert "try again later" in refusal(answering(429, Retry_After="soon"), tmp_path, SpeechFailed)
    assert "HTTP 500" in refusal(answering(500), tmp_path, SpeechFailed)


def test_a_redirect_is_not_followed_with_the_key(tmp_path):
    with speech_service() as elsewhere:
        moved = answering(307, Location=elsewhere.url + "/v1/audio/speech")
        said = refusal(moved, tmp_path, SpeechUnavailable)
    assert "MULTITALK_SPEECH_URL" in said
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<!doctype html><title>Sign in</title>", "a web page"),
        (told("all is well"), "not a sound file"),
        (b"\x00\x01" * 4000, "not a sound file"),
        (b"\x89PNG\r\n\x1a\n" + 5000 * b"x", "not a sound file"),
    ],
)
def test_an_answer_that_is_no_sound(tmp_path, body, found):
    assert found in refusal(answering(200, body), tmp_path, SpeechUnavailable)


def test_too_much_sound_is_not_taken(tmp_path):
    taken = threading.Event()

    def endless(handler, asked):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(tone(0.1))
        try:
            while True:
                handler.wfile.write(bytes(2**16))
        except OSError:
            taken.set()

    said = refusal(endless, tmp_path, LimitExceeded, max_audio_bytes=2**20)
    assert "larger than 1 MB" in said
    assert taken.wait(30)
    announced = answering(200, Content_Length=str(2**21))
    assert said == refusal(announced, tmp_path, LimitExceeded, max_audio_bytes=2**20)


@pytest.mark.parametrize("length", ["chunked", "announced", "in the file only", "nothing at all"])
def test_a_stream_that_is_cut(tmp_path, length):
    sound = tone(1.0)

    def cut(handler, asked):
        if length == "nothing at all":
            return
        handler.send_response(200)
        if length == "announced":
            handler.send_header("Content-Length", str(len(sound)))
        if length == "chunked":
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        half = sound[: len(sound) // 2]
        handler.wfile.write(f"{len(half):x}\r\n".encode() + half if length == "chunked" else half)

    assert "broke off" in refusal(cut, tmp_path, SpeechFailed)


def test_an_empty_answer_is_a_cut_one(tmp_path):
    assert "broke off" in refusal(answering(200), tmp_path, SpeechFailed)


def dripping(handler, asked):
    """Sound for ever, a byte at a time."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"R")
            time.sleep(0.02)
    except OSError:
        pass


def test_a_slow_service_is_left_in_time(tmp_path):
    said = refusal(dripping, tmp_path, SpeechFailed, speech_seconds=0.5)
    assert "longer than 0.5 s" in said


def test_a_cancelled_job_waits_for_nothing(tmp_path):
    refusal(dripping, tmp_path, Cancelled, cancelled=lambda: True)


def test_nobody_there(tmp_path):
    with speech_service() as service:
        pass
    with pytest.raises(SpeechFailed, match="cannot be reached"):
        spoken(service.url, tmp_path)
    with pytest.raises(SpeechFailed, match="cannot be reached"):
        spoken("http://nobody.invalid", tmp_path)


def test_an_untrusted_certificate(tmp_path):
    _, context = certificate(tmp_path, "127.0.0.1")
    directory = tmp_path / "job"
    directory.mkdir()
    with (
        serving(replying(tone(0.1)), context=context) as server,
        pytest.raises(SpeechUnavailable, match="certificate"),
    ):
        spoken(server.url(scheme="https"), directory)


def test_the_log_has_the_status_and_not_the_key(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    refusal(answering(401, told(KEY)), tmp_path, SpeechUnavailable)
    assert "answered HTTP 401" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(settings_of("http://127.0.0.1:1"))


# Its voices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "voices"),
    [
        (b'{"voices": ["a", "b"]}', ["a", "b"]),
        (b'["a"]', ["a"]),
        (b'{"voices": [{"id": "a", "name": "Anna"}, {"voice_id": "b"}, {"name": "c"}]}', "abc"),
        (b'{"object": "list", "data": [{"id": "a"}]}', ["a"]),
        (b'{"voices": [5, null, {}, "", "a\\nb", "' + 61 * b"x" + b'", "d"]}', ["d"]),
        (b'{"voices": "all"}', []),
    ],
)
def test_voices_are_read_as_services_write_them(body, voices):
    with speech_service(answering(200, body)) as service:
        listed = SpeechService(settings_of(service.url)).voices()
    assert [voice.name for voice in listed] == list(voices)
    assert service.requests[0].line == "GET /v1/audio/voices HTTP/1.1"


def test_a_voice_s_description_is_kept():
    body = b'{"voices": [{"id": "a", "gender": "female", "languages": ["ko"]}]}'
    with speech_service(answering(200, body)) as service:
        listed = SpeechService(settings_of(service.url)).voices()
    assert listed == [ServiceVoice("a", "female", ["ko"])]


def test_a_service_may_list_no_voices():
    nested = answering(200, 5000 * b"[")
    for answer in (answering(404), answering(405), answering(200, b"not json"), nested):
        with speech_service(answer) as service:
            assert SpeechService(settings_of(service.url)).voices() is None


def test_a_service_that_fails_does_not_list():
    for status in (401, 500, 302):
        with speech_service(answering(status)) as service, pytest.raises(MultiTalkError):
            SpeechService(settings_of(service.url)).voices()
