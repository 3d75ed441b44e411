"""Two hundred jobs, two workers, and everything goes wrong: each job ends once, none is lost."""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from conformance import check_all
from control_plane import ControlPlane
from job_inputs import job_input
from platform_job import PlatformJob
from worker_process import running_worker

from patience import PATIENCE_SECONDS

KINDS = {
    "ok": 156,
    "crash": 10,
    "invalid": 10,
    "noise": 8,  # too large, with neither bucket nor volume
    "slow": 8,  # cancelled while it runs
    "unwanted": 5,  # cancelled in the queue
    "die": 2,  # kills its worker, whichever it is
    "starve": 1,
}
EXPECTED = {
    "ok": ("COMPLETED", None),
    "crash": ("FAILED", "internal_error"),
    "invalid": ("FAILED", "invalid_request"),
    "noise": ("FAILED", "delivery_failed"),
    "slow": ("CANCELLED", None),
    "unwanted": ("CANCELLED", None),
    "die": ("FAILED", None),
    "starve": ("FAILED", "engine_broken"),
}
SETTINGS = {"STUB_SECONDS": "0", "MULTITALK_MAX_REPLY_BYTES": "100000"}
SECONDS = 360.0


class WorkerRestarts(threading.Thread):
    """Starts a worker anew whenever it ends, as the platform does."""

    def __init__(self, plane: ControlPlane, directory: Path, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.plane = plane
        self.directory = directory
        self.exit_codes: list[int] = []
        self.ended = threading.Event()
        self.pid = 0

    def run(self) -> None:
        while not self.ended.is_set():
            name = f"{self.name}-{len(self.exit_codes)}"
            with running_worker(
                self.plane, self.directory, name=name, wait=False, **SETTINGS
            ) as worker:
                self.pid = worker.process.pid
                while worker.process.poll() is None and not self.ended.is_set():
                    time.sleep(0.05)
                if self.ended.is_set():
                    return
                self.pid = 0
                self.exit_codes.append(worker.process.returncode)


def submit_all(plane: ControlPlane) -> dict[str, str]:
    """Jobs of all kinds in a mixed order; the kind of each id."""
    mixed = [kind for kind, count in KINDS.items() for _ in range(count)]
    random.Random(7).shuffle(mixed)
    kinds = {}
    for kind in mixed:
        given = {} if kind == "invalid" else job_input(seconds=4.0 if kind == "slow" else 0.2)
        if kind not in ("ok", "unwanted", "invalid"):
            given["prompt"] = kind
        job = plane.submit(given)
        kinds[job.id] = kind
        if kind == "unwanted":
            plane.cancel(job)
    return kinds


def make_trouble(plane: ControlPlane, kinds: dict[str, str], workers: list[WorkerRestarts]) -> None:
    """Until all have ended: cancel, break polls, answer 500, kill a worker twice."""
    chance = random.Random(11)
    kills = 2
    deadline = time.monotonic() + SECONDS
    while not all(job.finished.is_set() for job in plane.jobs.values()):
        assert time.monotonic() < deadline, Counter(job.status for job in plane.jobs.values())
        time.sleep(0.05)
        for job in plane.jobs.values():
            if kinds[job.id] == "slow" and job.status == "IN_PROGRESS" and job.progress:
                plane.cancel(job)
        if chance.random() < 0.03:
            plane.faults.fail_done = 1
        if chance.random() < 0.03:
            plane.faults.drop_polls = 1
        ended = sum(job.finished.is_set() for job in plane.jobs.values())
        if kills and ended > (60, 120)[2 - kills] and (pid := workers[kills - 1].pid):
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)
                kills -= 1
    assert not kills


def code_of(job: PlatformJob) -> object:
    return job.output.get("code") if isinstance(job.output, dict) else None


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_each_of_two_hundred_jobs_ends_once_and_as_it_should(tmp_path: Path) -> None:
    with ControlPlane(lease_seconds=3, max_deliveries=3) as plane:
        kinds = submit_all(plane)
        workers = [WorkerRestarts(plane, tmp_path, name) for name in ("left", "right")]
        for worker in workers:
            worker.start()
        try:
            make_trouble(plane, kinds, workers)
            time.sleep(2)  # for what might still come, too late
        finally:
            for worker in workers:
                worker.ended.set()
            for worker in workers:
                worker.join(PATIENCE_SECONDS)
        jobs = plane.jobs.values()
        assert len(jobs) == 200
        check_all(jobs)
        for job in jobs:
            status, code = EXPECTED[kinds[job.id]]
            assert job.status == status, (kinds[job.id], job)
            assert code is None or code_of(job) == code, (kinds[job.id], job.output)
            if kinds[job.id] == "die":
                assert len(job.deliveries) == 3
        codes = Counter(code for worker in workers for code in worker.exit_codes)
        # two poisoned jobs with three deliveries each, two kills from outside; one starved
        assert codes == {-signal.SIGKILL: 8, 1: 1}
