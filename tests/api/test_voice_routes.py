"""Voices at the server: their list, and texts that it speaks at once."""

import io
import json
import socket
import threading
import wave
from pathlib import Path

import av
import pytest
from running import running

from multitalk.settings import Settings
from patience import PATIENCE_SECONDS
from speech_stand_in import send, speech_service

pytest.importorskip("espeakng_loader")

SPEECH = "/v1/audio/speech"
SECONDS = 0.6  # about, of `Hello.`


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    data = tmp_path_factory.mktemp("voices")
    settings = Settings(work_directory=data, allow_loopback=True, max_text_characters=50)
    with running(data, settings=settings, works=False) as server:
        yield server


@pytest.fixture(scope="module")
def client(served):
    with served.client() as client:
        yield client


def spoken(client, **body):
    answer = client.post(SPEECH, json={"input": "Hello.", **body})
    assert answer.status_code == 200, answer.text
    return answer


def seconds_of(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as file:
        return file.getnframes() / file.getframerate()


def test_the_list_says_whose_each_voice_is_and_where_it_is_spoken(client):
    told = client.get("/voices").json()
    assert {"ko", "en-us"} <= set(told["languages"])
    assert told["voices"][0] == {
        "name": "female",
        "gender": "female",
        "languages": None,
        "recommended": True,
    }
    assert {voice["gender"] for voice in told["voices"]} == {"female", "male", None}
    same = client.get("/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in same] == [voice["name"] for voice in told["voices"]]


def test_a_text_is_answered_with_its_sound(client):
    answer = spoken(client, voice="female", model="tts-1")
    assert answer.headers["content-type"] == "audio/wav"
    assert "x-multitalk-warnings" not in answer.headers
    assert seconds_of(answer.content) == pytest.approx(SECONDS, abs=0.4)
    assert spoken(client).content != answer.content
    assert seconds_of(spoken(client, speed=0.5).content) > seconds_of(answer.content) + 0.2


@pytest.mark.parametrize(
    ("name", "media_type", "codec"),
    [
        ("mp3", "audio/mpeg", "mp3float"),
        ("opus", "audio/ogg", "opus"),
        ("flac", "audio/flac", "flac"),
        ("aac", "audio/aac", "aac"),
    ],
)
def test_every_format_is_a_whole_file(client, name, media_type, codec):
    answer = spoken(client, response_format=name)
    assert answer.headers["content-type"] == media_type
    with av.open(io.BytesIO(answer.content)) as file:
        assert file.streams.audio[0].codec.name == codec
        count = sum(frame.samples for frame in file.decode(audio=0))
        seconds = count / file.streams.audio[0].rate
    assert seconds == pytest.approx(seconds_of(spoken(client).content), abs=0.1)


def test_bare_samples_are_at_24_kilohertz(client):
    seconds = len(spoken(client, response_format="pcm").content) / 2 / 24_000
    assert seconds == pytest.approx(seconds_of(spoken(client).content), abs=0.01)


def test_what_should_be_known_is_in_a_header_in_the_caller_s_language(client):
    answer = client.post(
        SPEECH, json={"input": "Hello.", "pitch": -12}, headers={"Accept-Language": "ko"}
    )
    (warning,) = json.loads(answer.headers["x-multitalk-warnings"])
    assert "반음" in warning


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": "   "}, "input"),
        ({"input": "..."}, "input"),
        ({"input": "x" * 51}, "input"),
        ({"input": "x", "voice": "nobody at all"}, "voice"),
        ({"input": "x", "voice": "tts:sky"}, "voice"),
        ({"input": "x", "language": "xx"}, "language"),
        ({"input": "x", "speed": 3}, "speed"),
        ({"input": "x", "pitch": "high"}, "pitch"),
        ({"input": "x", "response_format": "midi"}, "response_format"),
        ({"input": "x", "sped": 1}, "sped"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(client, body, field):
    answer = client.post(SPEECH, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field
    assert answer.json()["error"]["message"].startswith(f"{field}: ")


def test_a_body_that_is_no_object_is_refused(client):
    assert (
        "must be a JSON object" in client.post(SPEECH, json=["Hello."]).json()["error"]["message"]
    )
    assert client.post(SPEECH, content=b"Hello.").status_code == 400
    assert client.post(SPEECH, json={"input": "x" * 2**21}).status_code == 413


def test_errors_are_as_openai_s_clients_read_them(client):
    told = client.post(SPEECH, json={"input": "x", "speed": 3}).json()
    assert told["error"] == {
        "message": "speed: 3 is too high; the limit is 2.0",
        "type": "invalid_request_error",
        "param": "speed",
        "code": "invalid_request",
    }
    assert told["details"]["problems"][0]["reason"] == "too_high"
    assert client.get("/v1/models").json()["error"]["type"] == "not_found_error"
    assert isinstance(client.post("/v2/x/run", json={}).json()["error"], str)


def test_with_keys_a_text_needs_one(tmp_path):
    with running(tmp_path, works=False) as server:
        _, token = server.keys.add("laptop")
        with server.client() as stranger, server.client(token) as friend:
            refused = stranger.post(SPEECH, json={"input": "Hello."})
            assert refused.status_code == 401
            assert refused.json()["error"]["type"] == "authentication_error"
            assert stranger.get("/v1/audio/voices").status_code == 401
            assert friend.get("/v1/audio/voices").status_code == 200


# A speech service behind the server -------------------------------------------------------------


def test_one_server_is_the_speech_service_of_another(served, client, tmp_path):
    url = Settings.from_env({"MULTITALK_SPEECH_URL": served.url + "/v1"}).speech_url
    settings = Settings(work_directory=tmp_path, allow_loopback=True, speech_url=url)
    with running(tmp_path, settings=settings, works=False) as other, other.client() as asking:
        told = asking.get("/voices").json()
        (there,) = [voice for voice in told["voices"] if voice["name"] == "tts:f5"]
        assert there["gender"] == "female"
        answer = spoken(asking, voice="tts:f5")
        same = spoken(client, voice="f5")
        assert answer.content == same.content
        refused = asking.post(SPEECH, json={"input": "Hello.", "voice": "tts:nobody at all"})
        assert refused.status_code == 400
        assert refused.json()["field"] == "voice"
        assert "nobody at all" in refused.json()["error"]["message"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]


def test_an_estimate_does_not_ask_the_service(tmp_path):
    portrait = (Path(__file__).parents[2] / "examples" / "portrait.jpg").read_bytes()

    def estimate(asking, **text):
        image = asking.post("/uploads", content=portrait).json()["source"]
        job = {"prompt": "p", "image_path": image, "audio_paths": {"a": {"text": "Hello.", **text}}}
        answer = asking.post("/v2/talk/estimate", json={"input": job})
        assert answer.status_code == 200, answer.text
        return answer.json()

    with speech_service() as service:
        settings = Settings(work_directory=tmp_path, speech_url=service.url)
        with running(tmp_path, settings=settings, works=False) as server, server.client() as asking:
            own, guessed = estimate(asking), estimate(asking, voice="tts:af_sky")
            assert guessed["talk_seconds"] == own["talk_seconds"]
            assert guessed["warnings"][0].startswith("audio_paths.a: the length is a guess")
            unknown = estimate(asking, voice="tts:af_sky", language="xx")
            assert unknown["talk_seconds"] is None
            assert "only known when" in unknown["warnings"][0]
    assert service.requests == []


def test_a_busy_service_s_time_is_told_and_its_list_is_asked_for_once_a_minute(tmp_path):
    now = [1000.0]
    with speech_service(lambda handler, _: send(handler, 429, Retry_After="9")) as service:
        settings = Settings(work_directory=tmp_path, speech_url=service.url)
        with (
            running(tmp_path, settings=settings, works=False, clock=lambda: now[0]) as server,
            server.client() as asking,
        ):
            answer = asking.post(SPEECH, json={"input": "Hello.", "voice": "tts:sky"})
            assert (answer.status_code, answer.json()["code"]) == (502, "speech_failed")
            assert answer.headers["retry-after"] == "9"
            for _ in range(3):
                assert (
                    "음성"
                    in asking.get("/voices", headers={"Accept-Language": "ko"}).json()["warnings"][
                        0
                    ]
                )
            assert len(service.requests) == 2
            now[0] += 61
            asking.get("/voices", headers={"Accept-Language": "ko"})
            assert len(service.requests) == 3


def test_the_service_is_left_when_the_client_is_gone(tmp_path):
    asked, left = threading.Event(), threading.Event()

    def hesitant(handler, _):
        asked.set()
        handler.rfile.read(1)  # until the other side hangs up
        left.set()

    with speech_service(hesitant) as service:
        settings = Settings(work_directory=tmp_path, speech_url=service.url)
        with running(tmp_path, settings=settings, works=False) as server:
            with socket.create_connection(
                ("127.0.0.1", int(server.url.rpartition(":")[2]))
            ) as client:
                body = b'{"input": "Hello.", "voice": "tts:sky"}'
                head = f"POST {SPEECH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
                client.sendall(head.encode() + b"\r\n\r\n" + body)
                assert asked.wait(PATIENCE_SECONDS)
            assert left.wait(PATIENCE_SECONDS)
