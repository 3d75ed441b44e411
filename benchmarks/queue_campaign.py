"""A queue under kill -9: is every job done exactly once, and how fast?

    python benchmarks/queue_campaign.py                       # 18 jobs, 3 workers, 30 kills
    python benchmarks/queue_campaign.py --queue nats://127.0.0.1:4222 --faults 0 --jobs 60

Workers and the sender are processes of their own. A worker is killed only while it is seen to
render a job, so that each kill takes a job from its worker; the sender is killed with it. Both are
started again, and the sender sends everything again under the same idempotency keys. No job loses
more workers than it may, so all have to be completed. The engine only sleeps, but a job is a whole
one: its request is read, its video encoded and stored.
Prints one JSON object; exit code 1 if a job is lost, done twice, or changed after its end, or if a
kill met nobody in work.
"""

import argparse
import asyncio
import base64
import ctypes
import io
import json
import logging
import multiprocessing
import os
import re
import signal
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

from multitalk.engines.base import FrameChunk, ProgressCallback, RenderOptions, Scene
from multitalk.schema import JobStatus
from multitalk.serving.queue import Job, JobQueue, QueueConfig, Submission, open_queue
from multitalk.serving.worker.loop import EngineThread, WorkerLimits
from multitalk.serving.worker.process import open_queue_source, serve
from multitalk.settings import Settings

LEASE_SECONDS = 3.0
CONFIG = QueueConfig(lease_seconds=LEASE_SECONDS)
# A process that has imported these is forked, which takes a tenth of a start's time.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["multitalk.serving.worker.process", "multitalk.serving.queue.jetstream", "PIL.Image"]
)
LOOK_SECONDS = 0.05
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
        watch: ProgressCallback,
    ) -> Iterator[FrameChunk]:
        """One chunk."""
        watch(0)
        time.sleep(float(scene.prompt.split()[-1]))
        yield FrameChunk(np.full((scene.num_frames, 48, 64, 3), 99, np.uint8), 0)

    def close(self) -> None:
        """There is nothing to give back."""


class Process:
    """A worker or the sender: started again where it was killed."""

    def __init__(
        self, role: str, arguments: argparse.Namespace, directory: Path, number: int = 0
    ) -> None:
        self.log = directory / f"{role}-{number}.log"
        self._name = f"{role}-{number}"
        self._starts = 0
        self._role = role
        self._arguments = arguments
        self.start()

    @property
    def id(self) -> str:
        """Its name in the queue, another one after each start."""
        return f"{self._name}-{self._starts}"

    def start(self) -> None:
        """Start it; it adds to its log."""
        self._starts += 1
        given = (self._role, self._arguments, self.id, self.log)
        self._process = FORKS.Process(target=play, args=given)
        self._process.start()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process.pid or 0, number)

    def end(self) -> None:
        """Kill it, and wait for its end."""
        self._process.kill()
        self._process.join(30)


def play(role: str, arguments: argparse.Namespace, name: str, log: Path) -> None:
    """Be a worker or the sender, in a process of its own, until killed."""
    end_with_parent()
    with log.open("ab") as file:
        for output in (1, 2):
            os.dup2(file.fileno(), output)
    if role == "sender":
        asyncio.run(send(arguments))
    logging.basicConfig(level="INFO")
    serve(
        lambda: open_queue_source(arguments.queue, CONFIG),
        EngineThread(SleepingEngine),
        Settings.from_env(),
        WorkerLimits(drain_seconds=5.0),
        worker_id=name,
    )


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
    queue = await open_queue(arguments.queue, CONFIG)
    given = job_input(arguments.sleep)
    for number in range(arguments.jobs):
        await queue.submit(Submission(input=given, idempotency_key=f"job-{number}"))
    while True:
        await asyncio.sleep(1)
        await queue.sweep()


class Campaign:
    """What goes on, and what was done to it.

    Attributes:
        sender: Sends the jobs.
        workers: Do them.
        hits: Faults that took a job from its worker.
        misses: Faults that took nothing from anybody.
    """

    def __init__(self, queue: JobQueue, arguments: argparse.Namespace, directory: Path) -> None:
        self.workers = [
            Process("worker", arguments, directory, number) for number in range(arguments.workers)
        ]
        self.sender = Process("sender", arguments, directory)
        self.hits = self.misses = 0
        self._queue = queue

    async def kill_in_work(self) -> None:
        """Kill a worker that is seen to render, and the sender; both are started again."""
        for worker in self.workers:
            job = await self.job_of(worker)
            if job is not None:
                worker.signal(signal.SIGSTOP)  # so that it cannot end the job at the last moment
                await asyncio.sleep(LOOK_SECONDS)
                if not await self.is_held(job):
                    worker.signal(signal.SIGCONT)
                    continue
                worker.end()
                self.note(met=await self.is_held(job))
                worker.start()
                self.sender.end()
                self.sender.start()
                return

    async def job_of(self, worker: Process) -> Job | None:
        """What a worker renders now, if that may lose a worker once more."""
        for job in await self._queue.jobs(status=JobStatus.IN_PROGRESS):
            is_rendered = (job.progress or {}).get("stage") == "render"
            if job.worker_id == worker.id and is_rendered and job.attempts < CONFIG.max_attempts:
                return job
        return None

    async def is_held(self, job: Job) -> bool:
        """Whether a job that was seen with a worker is still that one's."""
        now = await self._queue.get(job.id)
        return now.status is JobStatus.IN_PROGRESS and now.token == job.token

    def note(self, *, met: bool) -> None:
        """Note a fault, and whether it has met a job in work."""
        self.hits, self.misses = self.hits + met, self.misses + (not met)

    def end(self) -> None:
        """End all of it."""
        for process in (self.sender, *self.workers):
            process.end()


async def observe(
    queue: JobQueue, arguments: argparse.Namespace, campaign: Campaign
) -> dict[str, object]:
    """Do harm and look, until every job is final."""
    ends = time.monotonic() + arguments.limit
    finals: dict[str, int] = {}
    changed: set[str] = set()
    while time.monotonic() < ends:
        jobs = await queue.jobs(limit=2 * arguments.jobs)
        for job in jobs:
            if job.is_final and finals.setdefault(job.id, job.version) != job.version:
                changed.add(job.id)
        if len(finals) >= arguments.jobs:
            break
        if campaign.hits + campaign.misses < arguments.faults:
            await campaign.kill_in_work()
        await asyncio.sleep(LOOK_SECONDS)
    done = {"faults": campaign.hits + campaign.misses, "met_a_job_in_work": campaign.hits}
    return {**done, "changed_after_end": len(changed), **await summary(queue, arguments)}


async def summary(queue: JobQueue, arguments: argparse.Namespace) -> dict[str, object]:
    """What became of the jobs."""
    jobs = await queue.jobs(limit=2 * arguments.jobs)
    sizes = [await video_bytes(queue, job) for job in jobs]
    began = min((job.created_at for job in jobs), default=0.0)
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


async def carry_out(arguments: argparse.Namespace, directory: Path) -> dict[str, object]:
    """Start everything, wait for its end, and look at what there is."""
    queue = await open_queue(arguments.queue, CONFIG)
    campaign = Campaign(queue, arguments, directory)
    try:
        found = await observe(queue, arguments, campaign)
    finally:
        campaign.end()
        await queue.close()
    return found | {"told_twice": told_twice(campaign.workers)}


def is_right(found: dict[str, object]) -> bool:
    """Whether every job was done exactly once."""
    wanted = found["jobs"]
    return (
        found["states"] == {JobStatus.COMPLETED.value: wanted}
        and found["keys"] == found["remembered"] == found["videos"] == wanted
        and found["changed_after_end"] == found["told_twice"] == 0
        and found["met_a_job_in_work"] == found["faults"]
    )


def main() -> None:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queue", help="a new SQLite file if left out")
    parser.add_argument("--jobs", type=int, default=18)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--sleep", type=float, default=1.0, help="seconds of an engine's work")
    parser.add_argument(
        "--faults", type=int, default=30, help="kills, two for each job at most; 0: none"
    )
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds for everything")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        arguments.queue = arguments.queue or f"sqlite://{name}/queue.db"
        found = asyncio.run(carry_out(arguments, Path(name)))
    print(json.dumps(found))
    raise SystemExit(0 if is_right(found) else 1)


if __name__ == "__main__":
    main()
