"""Ends of a worker, asked for and not: no job is lost, nothing is left running."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from conformance import check_all
from control_plane import WORKER_KEY, ControlPlane
from job_inputs import job_input
from platform_job import output_of
from worker_process import running_worker

from multitalk.schema import JobStatus
from multitalk.serving.queue import Outcome, WorkerRecord
from multitalk.serving.runpod.platform import Addresses, Platform
from multitalk.serving.runpod.runpod_source import open_source
from patience import wait_until


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    """A platform whose polls last longer than any test waits, and whose leases are short."""
    with ControlPlane(poll_seconds=60, lease_seconds=3) as plane:
        yield plane
        if plane.jobs:
            check_all(plane.jobs.values())


def test_an_idle_worker_that_is_told_to_stop_ends_its_polls(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with running_worker(plane, tmp_path) as worker:
        time.sleep(1)  # both polls are open
        worker.stop()
        assert worker.exit_code() == 0
        wait_until(lambda: not worker.group(), says=lambda: str(worker.group()))


def test_a_worker_that_is_told_to_stop_finishes_its_job_first(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with running_worker(plane, tmp_path) as worker:
        job = plane.submit(job_input(seconds=2.0))
        job.wait_for_progress("render")
        worker.stop()
        assert worker.exit_code() == 0
        assert job.status == "COMPLETED"
        assert not worker.left_over()
        waiting = plane.submit(job_input())
        time.sleep(0.5)
        assert waiting.status == "IN_QUEUE"
        plane.cancel(waiting)


def test_a_job_that_comes_with_the_stop_signal_is_not_lost(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with running_worker(plane, tmp_path, STUB_SECONDS="0") as worker:
        worker.stop()
        job = plane.submit(job_input())
        assert worker.exit_code() == 0
    assert job.status in ("COMPLETED", "IN_QUEUE")  # done, or left for another
    plane.cancel(job)


def test_jobs_that_came_in_one_answer_are_given_back_when_the_worker_stops(
    plane: ControlPlane,
) -> None:
    plane.faults.jobs_at_once = 3
    jobs = [plane.submit(job_input()) for _ in range(3)]
    named: set[str] = set()  # by heartbeats

    async def scene() -> None:
        addresses = Addresses.from_environment(plane.environment(), "worker-1")
        headers = {"Authorization": WORKER_KEY}
        worker = WorkerRecord(id="worker-1", engine="stub", host="here", started_at=0.0)
        async with (
            ClientSession(headers=headers) as session,
            open_source(Platform(session, addresses), named, is_streamed=False) as source,
        ):
            lease = await source.claim("worker-1", wait=5.0)
            assert lease is not None
            await source.announce(worker)
            assert named == {job.id for job in jobs}
            await source.announce(worker.model_copy(update={"draining": True}))
            assert named == {lease.job.id}  # the current job goes on
            await source.finish(lease, Outcome(status=JobStatus.COMPLETED, output={"seed": 7}))
            assert not named

    asyncio.run(scene())
    plane.faults.jobs_at_once = 1
    first, *others = sorted(jobs, key=lambda job: job.status != "COMPLETED")
    assert first.status == "COMPLETED"
    wait_until(lambda: all(job.status == "IN_QUEUE" for job in others))
    for job in others:
        plane.cancel(job)


def test_what_is_left_of_a_killed_worker(plane: ControlPlane, tmp_path: Path) -> None:
    """Nothing: no heartbeat, so its lease ends; its directory is swept by the next worker."""
    with running_worker(plane, tmp_path) as first:
        job = plane.submit(job_input(seconds=60.0))
        job.wait_for_progress("render")
        assert len(first.group()) == 2  # the heartbeat is the second
        os.kill(first.process.pid, signal.SIGKILL)
        first.exit_code()
        killed = time.monotonic()
        assert first.left_over()
        wait_until(lambda: not first.group(), says=lambda: str(first.group()))
        job.body = {"id": job.id, "input": job_input()}  # a short one this time
        with running_worker(plane, tmp_path, name="worker-2") as second:
            assert job.wait().status == "COMPLETED"
            assert not second.left_over()
            assert "swept" in second.said()
        pings = plane.calls_of("ping", since=killed + 1)
        assert {call.worker for call in pings} == {"worker-2"}
    assert job.deliveries == ["worker-1", "worker-2"]


def test_a_job_that_leaves_no_memory_fails_and_the_worker_is_replaced(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with running_worker(plane, tmp_path) as worker:
        job = plane.submit(job_input(prompt="starve"))
        waiting = plane.submit(job_input())
        result = job.result()
        assert result["stopPod"] is True
        output = output_of(result)
        assert (output["code"], output["message"]) == ("engine_broken", result["error"])
        assert worker.exit_code() == 1
        assert waiting.status == "IN_QUEUE"
        plane.cancel(waiting)


def test_a_full_disk_fails_the_job_and_the_worker_is_replaced(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with running_worker(plane, tmp_path) as worker:
        job = plane.submit(job_input(prompt="full"))
        result = job.result()
        assert result["stopPod"] is True
        output = output_of(result)
        assert (output["code"], output["message"]) == ("worker_error", result["error"])
        assert worker.exit_code() == 1
        assert "secret" not in str(result)
        assert worker.left_over() == []


STUCK = {"STUB_STUCK_SECONDS": "1", "MULTITALK_JOB_SECONDS": "1"}


def test_an_engine_that_does_not_stop_is_given_up(plane: ControlPlane, tmp_path: Path) -> None:
    with running_worker(plane, tmp_path, **STUCK) as worker:
        job = plane.submit(job_input(prompt="hang"))
        result = job.result()
        output = output_of(result)
        assert (output["code"], output["message"]) == ("engine_broken", result["error"])
        assert result["stopPod"] is True
        assert worker.exit_code() == 1
        wait_until(lambda: not worker.group(), says=lambda: str(worker.group()))


def test_a_cancelled_job_whose_engine_does_not_stop_ends_the_worker(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with running_worker(plane, tmp_path, STUB_STUCK_SECONDS="1") as worker:
        job = plane.submit(job_input(prompt="hang"))
        job.wait_for_progress("render")
        plane.cancel(job)
        assert worker.exit_code() == 1
    assert not job.results
