"""A worker as RunPod runs it: a process of its own, driven through its environment."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from control_plane import ControlPlane

import warm_start
from patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]
HANDLER = ROOT / "handler.py"
STUB = Path(__file__).with_name("stub_worker.py")
IMPORTS = ("multitalk.serving.runpod.process", "multitalk.job.self_test")  # of both


@dataclass(frozen=True)
class RunPodWorker:
    """A running worker.

    Attributes:
        process: The leader of its process group.
        log: What it has said so far is in this file.
        work_directory: Where its jobs have their directories.
    """

    process: warm_start.WarmProcess | subprocess.Popen[bytes]
    log: Path
    work_directory: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def left_over(self) -> list[Path]:
        """What its jobs have left on the disk."""
        return list(self.work_directory.iterdir())

    def stop(self) -> None:
        """What RunPod sends when it wants the worker to go."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end."""
        return self.process.wait(seconds)

    def group(self) -> list[int]:
        """Processes that are alive and of its group; zombies are not."""
        alive = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                pid, _, rest = stat.read_text().partition(" (")
                state, _, group = rest.rpartition(") ")[2].split()[:3]
                if int(group) == self.process.pid and state != "Z":
                    alive.append(int(pid))
        return alive


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
    plane: ControlPlane,
    directory: Path,
    *,
    script: Path = STUB,
    name: str = "worker-1",
    wait: bool = True,
    is_fresh: bool = False,
    **settings: str,
) -> Iterator[RunPodWorker]:
    """Start a worker and wait until it asks for jobs; in the end nothing of its group is left.

    `is_fresh`: it is an interpreter that imports all that it needs, as on RunPod.
    """
    home, work = directory / f"home-{name}", directory / "work"
    home.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    log = directory / f"{name}.log"
    settings = {"MULTITALK_WORK_DIRECTORY": str(work), **settings}
    with log.open("ab") as output:
        begin = warm_start.start_fresh if is_fresh else partial(warm_start.start, imports=IMPORTS)
        process = begin(
            str(script),
            environment=worker_environment(home, plane.environment(name), **settings),
            directory=directory,
            output=output.fileno(),
        )
        worker = RunPodWorker(process, log, work)
        try:
            if wait:
                _wait_for_its_first_poll(plane, worker, name)
            yield worker
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_its_first_poll(plane: ControlPlane, worker: RunPodWorker, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    started = len(plane.calls)
    while not any(
        call.route == "job-take" and call.worker == name for call in plane.calls[started:]
    ):
        assert worker.process.poll() is None, worker.said()
        assert time.monotonic() < deadline, worker.said()
        time.sleep(0.02)


def run_to_end(
    arguments: Sequence[str], directory: Path, *, is_fresh: bool = False, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run handler.py outside of RunPod; `is_fresh` as of `running_worker`."""
    return warm_start.run_to_end(
        *(str(HANDLER), *arguments),
        imports=IMPORTS,
        environment=worker_environment(directory, {}, **settings),
        directory=directory,
        is_fresh=is_fresh,
    )
