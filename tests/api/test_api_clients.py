"""RunPod's own clients, unchanged, as the conformance test."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from obedient_worker import VIDEO
from running import running

from patience import PATIENCE_SECONDS

HERE = Path(__file__).parent
SDK = "runpod-sdk@1.1.2"


@pytest.fixture
def served(tmp_path):
    with running(tmp_path / "data") as server:
        yield server, server.keys.add("client")[1]


def is_video(output, echo):
    return output["echo"] == echo and base64.b64decode(output["video_base64"]) == VIDEO


def segments(chunks):
    return [chunk["segment"] for chunk in chunks]


def test_the_python_client(served, tmp_path):
    pytest.importorskip("runpod", reason="the extra `worker` is not installed")
    server, token = served
    done = subprocess.run(
        [sys.executable, HERE / "client_python.py", token],
        env={
            **os.environ,
            "RUNPOD_ENDPOINT_BASE_URL": f"{server.url}/v2",
            "HOME": str(tmp_path),  # a config.toml there would bring another key
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    assert saw["wrong_key"] == "RuntimeError"
    sync = saw["sync"]
    assert sync["status"] == "COMPLETED"
    assert is_video(sync["output"], 1)
    assert is_video(sync["run_sync"], 2)
    failure = {"message": "no face", "code": "no_face_found", "field": "image_path"}
    assert sync["run_sync_failing"] == failure
    assert sync["output_of_failed"] == failure
    assert segments(sync["stream"]) == [0, 1, 2]
    assert sync["cancel"]["status"] == sync["cancelled"] == "CANCELLED"
    assert sync["stream_of_cancelled"] == sync["stream_of_failed"] == []
    assert sync["health"]["jobs"]["completed"] >= 3
    assert sync["purge"]["status"] == "completed"
    later = saw["async"]
    assert later["status"] == "COMPLETED"
    assert is_video(later["output"], 1)
    assert segments(later["stream"]) == [0, 1, 2]
    assert later["output_of_failed"] == failure
    assert later["cancel"]["status"] == "CANCELLED"
    assert later["stream_of_cancelled"] == []


@pytest.fixture(scope="session")
def javascript(tmp_path_factory):
    """A directory with the client in it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not here")
    directory = tmp_path_factory.mktemp("javascript")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", SDK]
    try:
        done = subprocess.run(
            install, cwd=directory, capture_output=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {SDK} in time")
    if done.returncode:
        pytest.skip(f"npm cannot install {SDK} here")
    shutil.copy(HERE / "client_javascript.mjs", directory)
    return directory


def test_the_javascript_client(served, javascript):
    server, token = served
    done = subprocess.run(
        ["node", "client_javascript.mjs", f"{server.url}/v2", token],
        cwd=javascript,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    assert saw["run"] == "IN_QUEUE"
    assert saw["output"]["status"] == "COMPLETED"
    assert saw["output"]["workerId"] == "stub"
    assert is_video(saw["output"]["output"], 1)
    assert is_video(saw["runSync"]["output"], 2)
    assert saw["failing"]["status"] == "FAILED"
    assert saw["failing"]["error"] == "no face"
    assert segments(saw["stream"]) == [0, 1, 2]
    assert saw["cancel"]["status"] == "CANCELLED"
    assert saw["health"]["jobs"]["completed"] >= 3
    assert saw["purge"]["status"] == "completed"
