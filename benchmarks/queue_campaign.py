"""A queue under kill -9: is every job done exactly once, and how fast?

    python benchmarks/queue_campaign.py                        # 500 jobs, 4 workers, kills
    python benchmarks/queue_campaign.py --queue nats://127.0.0.1:4222 --kill-every 0 --workers 2

Workers and the sender are processes of their own. Every few seconds, once all workers are there,
one of them and the sender are killed and started again; the sender then sends everything again
under the same idempotency keys. The engine only sleeps, but a job is a whole one: its request is
read, its video encoded and stored.
Prints one JSON object; exit code 1 if a job is lost, done twice, or changed after its end.
"""

import argparse
import asyncio
import base64
import ctypes
import io
import json
import logging
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from multitalk.engines.base import FrameChunk, RenderOptions, Scene, Watch
from multitalk.schema import JobStatus
from multitalk.serving.queue import Job, JobQueue, Submission, Terms, open_queue
from multitalk.serving.work.process import serve
from multitalk.settings import Settings

TERMS = Terms(lease_seconds=1.5, max_attempts=1000)  # here it is never the job's fault
LOOK_SECONDS = 0.25
DONE = re.compile(r"job (\S+): COMPLETED")


class SleepingEngine:
    """Sleeps as long as the prompt says, then shows a few grey frames."""

    name: ClassVar[str] = "warp"
    takes_footage: ClassVar[bool] = False
    takes_quality: ClassVar[bool] = True

    def check(self, options: RenderOptions) -> None:
        """Any options will do."""

    def render(
        self,
        scene: Scene,
        options: RenderOptions,  # noqa: ARG002
        watch: Watch,
    ) -> Iterator[FrameChunk]:
        """One chunk."""
        watch(0)
        time.sleep(float(scene.prompt.split()[-1]))
        yield FrameChunk(np.full((scene.num_frames, 48, 64, 3), 99, np.uint8), 0)

    def close(self) -> None:
        """There is nothing to give back."""


class Process:
    """A worker or the sender: started again where it was killed."""

    def __init__(self, role: str, arguments: argparse.Namespace, directory: Path) -> None:
        self.log = directory / f"{role}-{random.getrandbits(32):08x}.log"
        self._command = [sys.executable, __file__, "--role", role]
        for name in ("queue", "jobs", "sleep"):
            self._command += [f"--{name}", str(getattr(arguments, name))]
        self.start()

    def start(self) -> None:
        """Start it; it adds to its log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call
            )

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, and wait for its end."""
        self._process.send_signal(number)
        self._process.wait(30)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def job_input(sleep: float) -> dict[str, object]:
    """A small request that is valid."""
    picture, sound = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 99, np.uint8)).save(picture, "PNG")
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\x00\x10\x00\xf0" * 1600)
    return {
        "prompt": f"sleep {sleep}",
        "image_path": base64.b64encode(picture.getvalue()).decode(),
        "audio_paths": {"person1": base64.b64encode(sound.getvalue()).decode()},
    }


async def send(arguments: argparse.Namespace) -> None:
    """Send every job, again and again the same ones, until killed."""
    queue = await open_queue(arguments.queue, TERMS)
    given = job_input(arguments.sleep)
    for number in range(arguments.jobs):
        await queue.submit(Submission(input=given, idempotency_key=f"job-{number}"))
    while True:
        await asyncio.sleep(1)
        await queue.sweep()


async def observe(
    queue: JobQueue, arguments: argparse.Namespace, processes: list[Process]
) -> dict[str, object]:
    """Kill and look, until every job is final."""
    chance = random.Random(7)
    ends = time.monotonic() + arguments.limit
    kill_at = time.monotonic() + arguments.kill_every
    finals: dict[str, int] = {}
    changed: set[str] = set()
    kills = 0
    while time.monotonic() < ends:
        jobs = await queue.jobs(limit=2 * arguments.jobs)
        for job in jobs:
            if job.is_final and finals.setdefault(job.id, job.version) != job.version:
                changed.add(job.id)
        if len(finals) >= arguments.jobs:
            break
        is_whole = len(await queue.workers()) == arguments.workers  # the last killed one is back
        if arguments.kill_every and is_whole and time.monotonic() > kill_at:
            kill_at = time.monotonic() + arguments.kill_every
            for process in (processes[0], chance.choice(processes[1:])):
                process.end()
                process.start()
                kills += 1
        await asyncio.sleep(LOOK_SECONDS)
    return {"kills": kills, "changed_after_end": len(changed), **await summary(queue, arguments)}


async def summary(queue: JobQueue, arguments: argparse.Namespace) -> dict[str, object]:
    """What became of the jobs."""
    jobs = await queue.jobs(limit=2 * arguments.jobs)
    sizes = [await video_bytes(queue, job) for job in jobs]
    began = min((job.started_at or job.created_at for job in jobs), default=0.0)
    ended = max((job.finished_at or 0.0 for job in jobs), default=0.0)
    return {
        "jobs": arguments.jobs,
        "remembered": len(jobs),
        "keys": len({job.idempotency_key for job in jobs}),
        "states": dict(Counter(job.status.value for job in jobs)),
        "videos": sum(size > 0 for size in sizes),
        "redeliveries": sum(job.redeliveries for job in jobs),
        "workers": len({job.worker_id for job in jobs}),
        "seconds": round(ended - began, 2),
        "jobs_per_second": round(len(jobs) / max(ended - began, 1e-3), 2),
    }


async def video_bytes(queue: JobQueue, job: Job) -> int:
    """Size of a job's video."""
    return await queue.media.size(job.output["video"]) if job.output else 0


def told_twice(processes: list[Process]) -> int:
    """Jobs that more than one worker says to have completed."""
    told = Counter(
        job_id for process in processes for job_id in DONE.findall(process.log.read_text())
    )
    return sum(times > 1 for times in told.values())


async def campaign(arguments: argparse.Namespace, directory: Path) -> dict[str, object]:
    """Start everything, wait for its end, and look at what there is."""
    queue = await open_queue(arguments.queue, TERMS)
    workers = [Process("worker", arguments, directory) for _ in range(arguments.workers)]
    processes = workers
    try:
        while len(await queue.workers()) < arguments.workers:  # Python's start is not measured
            await asyncio.sleep(LOOK_SECONDS)
        processes = [Process("sender", arguments, directory), *workers]
        found = await observe(queue, arguments, processes)
    finally:
        for process in processes:
            process.end()
        await queue.close()
    return found | {"told_twice": told_twice(workers)}


def is_right(found: dict[str, object]) -> bool:
    """Whether every job was done exactly once."""
    wanted = found["jobs"]
    return (
        found["states"] == {JobStatus.COMPLETED.value: wanted}
        and found["keys"] == found["remembered"] == found["videos"] == wanted
        and found["changed_after_end"] == found["told_twice"] == 0
    )


def main() -> None:
    """Run a campaign, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queue", help="a new SQLite file if left out")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sleep", type=float, default=0.1, help="seconds of an engine's work")
    parser.add_argument("--kill-every", type=float, default=3.0, help="seconds; 0: nobody is")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for everything")
    parser.add_argument("--role", choices=("worker", "sender"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "worker":
        logging.basicConfig(level="INFO")
        raise SystemExit(
            serve(
                arguments.queue,
                Settings.from_env(),
                load=SleepingEngine,
                terms=TERMS,
                drain_seconds=5.0,
            )
        )
    if arguments.role == "sender":
        asyncio.run(send(arguments))
    with tempfile.TemporaryDirectory() as name:
        arguments.queue = arguments.queue or f"sqlite://{name}/queue.db"
        found = asyncio.run(campaign(arguments, Path(name)))
    print(json.dumps(found))
    raise SystemExit(0 if is_right(found) else 1)


if __name__ == "__main__":
    main()
