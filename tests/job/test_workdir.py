"""A job's directory, and the sweeping of those whose owners are dead."""

import subprocess
import sys
from pathlib import Path

import pytest

from multitalk.errors import WorkerError
from multitalk.job.workdir import job_directory, sweep

HOLD = """
import sys, pathlib
from multitalk.job.workdir import job_directory
with job_directory(pathlib.Path(sys.argv[1])) as directory:
    (directory / "video.mp4").write_bytes(b"half")
    print(directory, flush=True)
    sys.stdin.read()
"""


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process, in the middle of a job."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def close(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def fail_in(directory: Path) -> None:
    (directory / "deep" / "er").mkdir(parents=True)
    assert list(directory.parent.iterdir()) == [directory]
    raise KeyError


def test_it_is_there_and_then_gone_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyError), job_directory(tmp_path) as directory:
        fail_in(directory)
    assert not list(tmp_path.iterdir())


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_uses_is_not(
    tmp_path: Path,
) -> None:
    dead, left = holder(tmp_path)
    living, used = holder(tmp_path)
    try:
        close(dead)
        with job_directory(tmp_path) as mine:
            sweep(tmp_path)
            assert sorted(tmp_path.iterdir()) == sorted([mine, used])
            assert (used / "video.mp4").exists()
        assert not left.exists()
    finally:
        close(living)
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_not_a_job_s_is_left_alone(tmp_path: Path) -> None:
    for name in ("multitalk-notes", "multitalk-file", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "multitalk-file").rmdir()
    (tmp_path / "multitalk-file").write_text("mine")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_place_that_is_not_there_is_told(tmp_path: Path) -> None:
    nowhere = job_directory(tmp_path / "nowhere")
    with pytest.raises(WorkerError, match="MULTITALK_WORK_DIRECTORY"), nowhere:
        pass
    sweep(tmp_path / "nowhere")
