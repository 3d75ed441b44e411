"""Disks that fill up, and kill -9: is every job done exactly once, and which files remain?

    sudo .venv/bin/python benchmarks/disk_campaign.py          # 60 jobs, 2 workers
    python benchmarks/disk_campaign.py --work /small/a --data /small/b

The workers' work directory and the queue's directory lie on two small disks, which are mounted here
(that needs root) or given. In turn the one, the other and both are filled up while jobs are in
work; every other time a worker that has a job is killed meanwhile. Whoever sends a job sends it
again until it is taken. In the end some jobs expire while the queue's disk is full.
Prints one JSON object; exit code 1 if a job is lost, FAILED or done twice, if an expired one stays,
or if something is left in the work directory.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from multitalk.errors import QueueUnavailable
from multitalk.job import sweep
from multitalk.schema import JobStatus
from multitalk.serving.queue import JobQueue, QueueConfig, Submission, open_queue
from multitalk.serving.worker.loop import EngineThread, WorkerLimits
from multitalk.serving.worker.process import open_queue_source, serve
from multitalk.settings import Settings
from queue_campaign import SleepingEngine, end_with_parent, job_input

WORK_MEGABYTES, DATA_MEGABYTES = 300, 24  # a worker wants 256 and the largest files' for a job
LIMITS = {f"MULTITALK_MAX_{kind}_BYTES": "1000000" for kind in ("IMAGE", "VIDEO", "AUDIO")}
CONFIG = QueueConfig(lease_seconds=1.5, max_attempts=1000)  # here it is never the job's fault
LOOK_SECONDS = 0.05
DONE = re.compile(r"job (\S+): COMPLETED")
EXPIRING = 10  # jobs of the last part


class Disk:
    """A small disk that can be filled up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**20, 2**12):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def free(self) -> None:
        """Give all of it back."""
        self._ballast.unlink(missing_ok=True)


class WorkerProcess:
    """A worker: started again where it was killed.

    Attributes:
        log: The output of all of them.
    """

    def __init__(self, queue_url: str, log: Path) -> None:
        self.log = log
        self._command = [sys.executable, __file__, "--worker", queue_url]
        self.start()

    def start(self) -> None:
        """Start it."""
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
        self._process.wait(60)


@contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[Path]:
    """A new small disk; root only."""
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m"]
    subprocess.run(["mount", *options, "campaign", str(path)], check=True)  # noqa: S607
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)  # noqa: S607


async def send(queue: JobQueue, arguments: argparse.Namespace) -> None:
    """Send every job, each until it is taken."""
    given = job_input(arguments.sleep)
    for number in range(arguments.jobs):
        submission = Submission(input=given, idempotency_key=f"job-{number}", stream=True)
        while True:
            try:
                await queue.submit(submission)
                break
            except QueueUnavailable:
                await asyncio.sleep(LOOK_SECONDS)


async def disturb(
    disks: Sequence[Disk], arguments: argparse.Namespace, workers: list[WorkerProcess], found: dict
) -> None:
    """Fill disks and kill workers, until cancelled."""
    chance = random.Random(7)
    turns = [disks[:1], disks[1:], disks]
    while True:
        full = turns[found["times_full"] % len(turns)]
        for disk in full:
            disk.fill()
        found["times_full"] += 1
        if found["times_full"] % 2:
            worker = chance.choice(workers)
            worker.end()
            worker.start()
            found["kills"] += 1
        await asyncio.sleep(arguments.full)
        for disk in full:
            disk.free()
        await asyncio.sleep(arguments.well)


async def observe(queue: JobQueue, arguments: argparse.Namespace) -> int:
    """Wait until every job is final; how many changed afterwards."""
    finals: dict[str, int] = {}
    changed: set[str] = set()
    ends = time.monotonic() + arguments.limit
    while len(finals) < arguments.jobs and time.monotonic() < ends:
        with suppress(QueueUnavailable):
            for job in await queue.jobs(limit=2 * arguments.jobs):
                if job.is_final and finals.setdefault(job.id, job.version) != job.version:
                    changed.add(job.id)
        await asyncio.sleep(LOOK_SECONDS)
    return len(changed)


async def expire(queue: JobQueue, disk: Disk, arguments: argparse.Namespace) -> dict[str, object]:
    """Let jobs expire while the queue's disk is full."""
    given, before = job_input(0.0), len(await queue.jobs(limit=10**6))
    jobs = [
        await queue.submit(Submission(input=given, retention_seconds=2.0)) for _ in "x" * EXPIRING
    ]
    for job in jobs:
        while not (await queue.get(job.id)).is_final:
            await asyncio.sleep(LOOK_SECONDS)
    disk.fill()
    began = time.monotonic()
    while time.monotonic() < began + arguments.limit:
        with suppress(QueueUnavailable):
            await queue.sweep()
        if len(await queue.jobs(limit=10**6)) == before:
            break
        await asyncio.sleep(LOOK_SECONDS)
    left = len(await queue.jobs(limit=10**6)) - before
    disk.free()
    return {"expired_left": left, "expired_in_s": round(time.monotonic() - began, 1)}


async def campaign(
    arguments: argparse.Namespace, work: Disk, data: Disk, logs: Path
) -> dict[str, object]:
    """Start everything, wait for its end, and look at what there is."""
    queue = await open_queue(arguments.queue, CONFIG)
    found: dict[str, object] = {"times_full": 0, "kills": 0}
    workers = [WorkerProcess(arguments.queue, logs / f"{n}.log") for n in range(arguments.workers)]
    try:
        while len(await queue.workers()) < arguments.workers:  # Python's start is not measured
            await asyncio.sleep(LOOK_SECONDS)
        sending = asyncio.create_task(send(queue, arguments))
        disturbing = asyncio.create_task(disturb((work, data), arguments, workers, found))
        found["changed_after_end"] = await observe(queue, arguments)
        for task in (sending, disturbing):
            task.cancel()
        await asyncio.gather(sending, disturbing, return_exceptions=True)
        work.free()
        data.free()
        jobs = await queue.jobs(limit=10**6)
        found["states"] = dict(Counter(job.status.value for job in jobs))
        found["videos"] = sum([await queue.media.size(job.output["video"]) > 0 for job in jobs])
        found["redeliveries"] = sum(job.redeliveries for job in jobs)
        found |= await expire(queue, data, arguments)
    finally:
        for worker in workers:
            worker.end(signal.SIGTERM)
        await queue.close()
    sweep(work.path)  # as the next worker does at its start
    said = "".join(worker.log.read_text() for worker in workers)
    told = Counter(DONE.findall(said))
    return found | {
        "told_twice": sum(times > 1 for times in told.values()),
        "left_in_work_directory": len(list(work.path.iterdir())),
        "given_back": said.count("given back"),
        "log_lines_of_full_disks": said.count("no job is taken") + said.count("disk is full"),
    }


def is_right(found: dict[str, object], jobs: int) -> bool:
    """Whether every job was done exactly once, and nothing stays that should not."""
    none = ("changed_after_end", "told_twice", "expired_left", "left_in_work_directory")
    return (
        found["states"] == {JobStatus.COMPLETED.value: jobs}
        and found["videos"] == jobs
        and not any(found[name] for name in none)
    )


def main() -> None:
    """Run a campaign, or one of its workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sleep", type=float, default=0.3, help="seconds of an engine's work")
    parser.add_argument("--full", type=float, default=3.0, help="seconds that a disk stays full")
    parser.add_argument("--well", type=float, default=2.0, help="seconds until the next is full")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each part")
    parser.add_argument("--work", type=Path, help="small disk of the workers; mounted if left out")
    parser.add_argument("--data", type=Path, help="small disk of the queue; mounted if left out")
    parser.add_argument("--worker", metavar="QUEUE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        logging.basicConfig(level="INFO")
        settings = Settings.from_env()
        raise SystemExit(
            serve(
                lambda: open_queue_source(arguments.worker, CONFIG),
                EngineThread(SleepingEngine),
                settings,
                WorkerLimits(drain_seconds=5.0),
            )
        )
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        if arguments.work is None:
            arguments.work = stack.enter_context(mounted(place / "work", WORK_MEGABYTES))
        if arguments.data is None:
            arguments.data = stack.enter_context(mounted(place / "data", DATA_MEGABYTES))
        os.environ |= {**LIMITS, "MULTITALK_WORK_DIRECTORY": str(arguments.work)}
        arguments.queue = f"sqlite://{arguments.data}/queue.db"
        disks = Disk(arguments.work), Disk(arguments.data)
        found = asyncio.run(campaign(arguments, *disks, place))
    print(json.dumps(found))
    raise SystemExit(0 if is_right(found, arguments.jobs) else 1)


if __name__ == "__main__":
    main()
