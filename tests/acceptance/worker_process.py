"""A worker as RunPod runs it: a process of its own, driven through its environment."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANDLER = ROOT / "handler.py"
FAKE_HANDLER = Path(__file__).with_name("fake_handler.py")


@dataclass(frozen=True)
class Worker:
    """A running worker.

    Attributes:
        process: The leader of its process group.
        log: What it has said so far is in this file.
        work_directory: Where its jobs have their directories.
    """

    process: subprocess.Popen[bytes]
    log: Path
    work_directory: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def worker_environment(home: Path, platform: dict[str, str], **settings: str) -> dict[str, str]:
    """Nothing of ours or RunPod's but what is given; HOME empty, as it may hold RunPod's keys."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MULTITALK_", "RUNPOD_", "BUCKET_"))
    }
    return {**inherited, "HOME": str(home), **platform, **settings}


@contextmanager
def running_worker(
    script: Path, directory: Path, platform: dict[str, str], **settings: str
) -> Iterator[Worker]:
    """Start a worker; in the end nothing of its process group is left."""
    home, work = directory / "home", directory / "work"
    home.mkdir()
    work.mkdir()
    log = directory / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", str(script)],
            env=worker_environment(home, platform, MULTITALK_WORK_DIRECTORY=str(work), **settings),
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Worker(process, log, work)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_to_end(
    arguments: Sequence[str], directory: Path, *, timeout: float, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run handler.py outside of RunPod."""
    return subprocess.run(
        [sys.executable, "-u", str(HANDLER), *arguments],
        env=worker_environment(directory, {}, **settings),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
