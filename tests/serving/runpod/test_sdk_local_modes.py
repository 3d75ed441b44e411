"""`python handler.py` where RunPod is not: the job of test_input.json, and a file to watch."""

import asyncio
import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from control_plane import ControlPlane
from job_inputs import PORTRAIT, job_input
from platform_job import output_of
from worker_process import HANDLER, ROOT, run_to_end, running_worker

from multitalk.media.video import probe
from multitalk.serving.runpod.sdk_local_modes import VideoSaver, check_job
from patience import PATIENCE_SECONDS


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


def test_a_clone_s_own_job_needs_no_setting_and_leaves_a_video(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "portrait.jpg", tmp_path / "examples")
    shutil.copy(ROOT / "test_input.json", tmp_path)
    done = run_to_end([], tmp_path, is_fresh=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "Watch out/test.mp4"
    assert probe(tmp_path / "out" / "test.mp4").num_frames > 25
    assert "'warnings': []" in done.stdout
    assert "base64" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "file", "message"),
    [
        ([], None, "there is no test_input.json in"),
        ([], "{", "test_input.json is no job: not JSON"),
        ([], "\udcff", "test_input.json cannot be read"),
        ([], "[]", "test_input.json is no job"),
        (["--test_input", "{'input': {}}"], None, "--test_input is no job: not JSON"),
        (["--test_input", '{"prompt": "p"}'], None, "--test_input is no job"),
    ],
)
def test_what_is_no_job_is_refused_with_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    file: str | None,
    message: str,
) -> None:
    if file is not None:
        (tmp_path / "test_input.json").write_text(file, "utf-8", "surrogateescape")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["handler.py", *arguments])
    with pytest.raises(SystemExit, match=message):
        check_job()


def test_without_a_job_it_ends_with_a_sentence_before_an_engine_is_loaded(tmp_path: Path) -> None:
    done = run_to_end([], tmp_path)
    assert done.returncode == 1
    assert "there is no test_input.json in" in done.stderr
    assert "Traceback" not in done.stderr
    assert "engine" not in done.stdout + done.stderr


def test_a_python_without_the_packages_is_told_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(HANDLER)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "multitalk is not installed for this Python: pip install" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_that_fails_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    job = {"input": job_input(image_path="../somewhere/else.jpg")}
    done = run_to_end(["--test_input", json.dumps(job)], tmp_path)
    assert done.returncode == 1
    assert "image_path: " in done.stdout
    assert "Watch" not in done.stdout
    assert not (tmp_path / "out").exists()


def test_on_runpod_the_file_is_not_read_and_its_directory_not_open(
    plane: ControlPlane, tmp_path: Path
) -> None:
    shutil.copy(PORTRAIT, tmp_path / "portrait.jpg")
    (tmp_path / "test_input.json").write_text(json.dumps({"input": job_input(prompt="the file's")}))
    with running_worker(plane, tmp_path, script=HANDLER, MULTITALK_ENGINE="warp") as worker:
        refused = plane.submit(job_input(image_path="portrait.jpg")).result(PATIENCE_SECONDS)
        assert output_of(refused)["field"] == "image_path"
        assert worker.process.poll() is None
        assert "local_test" not in worker.said()
    assert not (tmp_path / "out").exists()


def test_a_video_that_cannot_be_kept_stays_in_the_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(_: Any) -> dict[str, Any]:
        return {"video_base64": base64.b64encode(b"video").decode()}

    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").write_text("in the way")
    saver = VideoSaver(handle)
    assert asyncio.run(saver.handle({}))["video_base64"]
    assert "out/test.mp4" in saver.message
    (tmp_path / "out").unlink()
    assert asyncio.run(saver.handle({})) == {"video_path": "out/test.mp4"}
    assert (tmp_path / "out" / "test.mp4").read_bytes() == b"video"
