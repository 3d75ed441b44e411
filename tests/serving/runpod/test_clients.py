"""Clients of an endpoint as they are: RunPod's own, ours, and requests as they were always sent."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import runpod
from conformance import check_all
from control_plane import CLIENT_KEY, ENDPOINT, ControlPlane
from job_inputs import PORTRAIT, job_input, wav
from worker_process import ROOT, running_worker

from patience import PATIENCE_SECONDS

VOICE_SECONDS = 0.6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait and a voice under a directory that requests may name."""
    directory = tmp_path_factory.mktemp("files")
    (directory / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    (directory / "voice.wav").write_bytes(wav(VOICE_SECONDS))
    return directory


@pytest.fixture(scope="module")
def web(files: Path) -> Iterator[str]:
    """The same files by HTTP."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def plane(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    settings = {
        "MULTITALK_ALLOWED_ROOTS": str(files),
        "MULTITALK_ALLOW_LOOPBACK": "true",
        "STUB_SECONDS": "0",
    }
    with ControlPlane() as plane:
        with running_worker(plane, tmp_path_factory.mktemp("w"), **settings):
            yield plane
        check_all(plane.jobs.values())


@pytest.fixture
def endpoint(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Any:
    """RunPod's own client."""
    monkeypatch.setattr(runpod, "endpoint_url_base", plane.url)
    monkeypatch.setattr(runpod, "api_key", CLIENT_KEY)
    return runpod.Endpoint(ENDPOINT)


def as_data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize("form", ["url", "path", "relative path", "data URI", "base64"])
def test_a_request_of_the_hub_s_worker_is_answered_whatever_its_sources_are(
    endpoint: Any, files: Path, web: str, form: str
) -> None:
    """The fields, defaults and reply that clients of the worker on the RunPod Hub know."""
    image, voice = files / "portrait.jpg", files / "voice.wav"
    sources = {
        "url": (f"{web}/portrait.jpg", f"{web}/voice.wav"),
        "path": (str(image), str(voice)),
        "relative path": ("portrait.jpg", "voice.wav"),
        "data URI": (
            as_data_uri("image/jpeg", image.read_bytes()),
            as_data_uri("audio/wav", voice.read_bytes()),
        ),
        "base64": (
            base64.b64encode(image.read_bytes()).decode(),
            base64.b64encode(voice.read_bytes()).decode(),
        ),
    }
    picture, sound = sources[form]
    output = endpoint.run_sync(
        {
            "prompt": "A woman sings in a studio",
            "image_path": picture,
            "audio_paths": {"person1": sound},
            "sample_text_guide_scale": 1.0,
            "sample_audio_guide_scale": 2.0,
            "sample_steps": 8,
            "mode": "streaming",
            "audio_type": "singing",
        },
        timeout=PATIENCE_SECONDS,
    )
    assert output["status"] == "success"
    assert output["filename"] == "generated_video.mp4"
    assert base64.b64decode(output["video_base64"])[4:8] == b"ftyp"
    assert output["num_frames"] == 15


def test_runpod_s_client_runs_a_job_and_asks_how_it_is(endpoint: Any) -> None:
    request = endpoint.run(job_input())
    assert request.output(timeout=PATIENCE_SECONDS)["num_frames"] == 10
    assert request.status() == "COMPLETED"


def test_runpod_s_client_is_given_the_reason_of_a_failure(endpoint: Any) -> None:
    output = endpoint.run(job_input(audio_paths={"person1": {"text": "?!"}})).output(timeout=60)
    assert output["message"].startswith("audio_paths.person1.text: ")
    assert output["field"] == "audio_paths.person1.text"


def test_runpod_s_client_cancels(plane: ControlPlane, endpoint: Any) -> None:
    request = endpoint.run(job_input(seconds=60.0, prompt="slow"))
    job = plane.jobs[request.job_id]
    job.wait_for_progress("render")
    assert request.cancel()["status"] == "CANCELLED"
    assert endpoint.run_sync(job_input(), timeout=PATIENCE_SECONDS)["status"] == "success"
    assert not job.results


@pytest.mark.parametrize(("text", "code"), [("Hello.", 0), ("?!", 1)])
def test_the_example_client_saves_the_video_or_says_why_there_is_none(
    plane: ControlPlane, tmp_path: Path, text: str, code: int
) -> None:
    output = tmp_path / "talk.mp4"
    command = [sys.executable, str(ROOT / "examples" / "client.py"), ENDPOINT, str(PORTRAIT)]
    done = subprocess.run(
        [*command, "--text", text, "-o", str(output), "--url", plane.url],
        env={**os.environ, "RUNPOD_API_KEY": CLIENT_KEY},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert output.exists() == (code == 0)
    if code:
        assert "FAILED: audio_paths.person1.text" in done.stderr
