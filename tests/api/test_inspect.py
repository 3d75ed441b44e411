"""`POST /v1/inspect`: where a video comes from, found in a sandboxed process."""

import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import running

from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter
from multitalk.provenance import inspect_video, load_credential, sign_video
from multitalk.settings import Settings
from multitalk.watermark.keys import Payload

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
PAYLOAD = Payload(0, 2, 77)
NUM_FRAMES = 20


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("inspect"), works=False) as server:
        yield server


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    """A still talk with a tone: marked, labelled and signed."""
    directory = tmp_path_factory.mktemp("talk")
    voice = directory / "voice.wav"
    with wave.open(str(voice), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000))
    with Image.open(PORTRAIT) as picture:
        frame = np.asarray(picture.convert("RGB").resize((512, 512)))
    video = directory / "talk.mp4"
    track = Soundtrack([SoundtrackVoice(voice)], num_frames=NUM_FRAMES)
    with VideoWriter(
        video, width=512, height=512, soundtrack=track, watermark=PAYLOAD, threads=1
    ) as writer:
        writer.append(np.repeat(frame[None], NUM_FRAMES, axis=0))
    credential = load_credential(Settings(state_directory=directory / "state"))
    sign_video(video, credential, picture=PORTRAIT, engine="warp")
    return video


def test_a_video_is_judged_by_its_mark_its_manifest_and_its_label(client, talk):
    answer = client.post("/v1/inspect", content=talk.read_bytes())
    assert answer.status_code == 200, answer.text
    found = answer.json()
    expected = json.loads(json.dumps(inspect_video(talk).reply("en")))
    for mark, wanted in zip(found["marks"], expected["marks"], strict=True):
        wanted["chance"] = pytest.approx(wanted["chance"], rel=1e-9)  # another process rounds so
        assert mark == wanted
    assert {**found, "marks": []} == {**expected, "marks": []}
    assert found["basis"] == "watermark"
    picture, sound = found["marks"]
    assert picture["payload"] == {"major": 0, "minor": 2, "talk": 77}
    assert picture["chance"] < 1e-7
    assert (sound["is_marked"], sound["payload"]) == (False, None)  # there is only silence
    assert found["manifest"]["verdict"] == "valid"
    assert found["label"]["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert "1,000,000,000,000" in picture["text"]


def test_an_upload_is_judged_too_and_in_the_callers_language(client, talk):
    source = client.post("/uploads", content=talk.read_bytes()).json()["source"]
    answer = client.post("/v1/inspect", json={"video": source}, headers={"Accept-Language": "ko"})
    conclusion = answer.json()["conclusion"]
    assert conclusion == "이 파일은 MultiTalk Serverless로 만들었습니다. 근거: 화면의 워터마크."


@pytest.mark.parametrize("name", ["picture", "sound"])
def test_a_file_without_any_mark_is_not_called_real(client, name):
    found = client.post("/v1/inspect", content=_plain(name)).json()
    assert (found["basis"], found["manifest"]["verdict"]) == ("nothing", "absent")
    assert [mark["where"] for mark in found["marks"]] == [name]
    assert "does not show that it is real" in found["conclusion"]


def _plain(name: str) -> bytes:
    if name == "picture":
        return PORTRAIT.read_bytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        noise = np.random.default_rng(1).normal(0, 3000, 32_000)
        sound.writeframes(noise.astype(np.int16).tobytes())
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b"plain text", 415, "media_undecodable"),
        (b"<!doctype html><title>Share</title>", 415, "media_undecodable"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), 415, "media_undecodable"),
    ],
)
def test_what_is_no_media_is_refused(client, content, status, code):
    answer = client.post("/v1/inspect", content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["field"] == "video"


def test_an_upload_has_to_be_the_callers(client):
    assert client.post("/v1/inspect", json={"video": "upload://x"}).status_code == 404
    assert client.post("/v1/inspect", json={"video": 5}).status_code == 400
