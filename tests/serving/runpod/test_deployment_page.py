"""The clients of docs/deployment.md are run as they stand, against the platform's stand-in."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_plane import CLIENT_KEY, ENDPOINT, ControlPlane
from job_inputs import PORTRAIT
from worker_process import ROOT, running_worker

from multitalk.media.video import probe
from patience import PATIENCE_SECONDS

PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
CLIENTS = re.findall(r"^```(python|javascript)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CLOUD = "https://api.runpod.ai/v2/"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane() as plane, running_worker(plane, tmp_path_factory.mktemp("worker")):
        yield plane


def test_the_page_shows_three_clients() -> None:
    assert [language for language, _ in CLIENTS] == ["python", "python", "javascript"]


@pytest.mark.parametrize(("language", "code"), CLIENTS, ids=["http", "runpod", "javascript"])
def test_a_client_saves_its_video(
    plane: ControlPlane, tmp_path: Path, language: str, code: str
) -> None:
    program = {"python": sys.executable, "javascript": shutil.which("node")}[language]
    if program is None:
        pytest.skip("needs Node")
    (tmp_path / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    script = tmp_path / {"python": "client.py", "javascript": "client.mjs"}[language]
    script.write_text(code.replace(CLOUD, f"{plane.url}/"))
    done = subprocess.run(
        [program, str(script)],
        cwd=tmp_path,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "RUNPOD_API_KEY": CLIENT_KEY,
            "RUNPOD_ENDPOINT_ID": ENDPOINT,
            "RUNPOD_ENDPOINT_BASE_URL": plane.url,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "talk.mp4").num_frames > 5
