"""The server's own workers: their ends are noticed, and cost no lease."""

import asyncio
import contextlib
import sys

import pytest

from multitalk.schema import JobStatus
from multitalk.serving.api.supervisor import Supervisor
from multitalk.serving.queue import QueueConfig, Submission, open_queue
from patience import PATIENCE_SECONDS

WORKER = """
import asyncio, os, signal, sys
from multitalk.schema import JobStatus
from multitalk.serving.queue import Outcome, QueueConfig, open_queue

async def work(url, option, worker_id):
    assert option == "--worker-id"
    queue = await open_queue(url, QueueConfig(lease_seconds=3600.0))
    lease = await queue.claim(worker_id, wait=60.0)
    if lease.job.attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    await queue.finish(lease, Outcome(status=JobStatus.COMPLETED, output=worker_id))
    await queue.close()

asyncio.run(work(*sys.argv[1:]))
"""


STUBBORN = """
import pathlib, signal, sys, time

place, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])
asked = 0

def note(*_):
    global asked
    asked += 1
    (place / f"asked-{asked}").touch()
    if asked == limit:
        (place / "left").touch()
        sys.exit(0)

signal.signal(signal.SIGTERM, note)
(place / "ready").touch()
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize(("gives_up_at", "forced_stop_seconds"), [(2, PATIENCE_SECONDS), (99, 0.2)])
def test_a_hurried_worker_is_asked_once_more_and_then_killed(
    tmp_path, gives_up_at, forced_stop_seconds
):
    forced, buried = asyncio.Event(), []

    async def on_exit(worker_id):
        buried.append(worker_id)

    async def appears(name):
        while not (tmp_path / name).exists():
            await asyncio.sleep(0.02)

    async def served():
        running, stack = set(), contextlib.AsyncExitStack()
        supervisor = Supervisor(
            [sys.executable, "-c", STUBBORN, str(tmp_path), str(gives_up_at)],
            1,
            on_exit=on_exit,
            running=running,
            forced=forced,
            exit_seconds=PATIENCE_SECONDS,
            forced_stop_seconds=forced_stop_seconds,
        )
        await stack.enter_async_context(supervisor)
        await appears("ready")
        (worker_id,) = running
        ending = asyncio.create_task(stack.aclose())
        await appears("asked-1")
        assert not buried
        forced.set()
        await ending
        assert (buried, running) == ([worker_id], set())

    asyncio.run(asyncio.wait_for(served(), PATIENCE_SECONDS))
    assert (tmp_path / "asked-2").exists()
    assert (tmp_path / "left").exists() == (gives_up_at == 2)


def test_the_job_of_a_worker_that_was_killed_does_not_wait_for_its_lease(tmp_path):
    url = f"sqlite://{tmp_path}/queue.db"

    async def done(queue):
        job = await queue.submit(Submission(input={}))
        async with Supervisor(
            [sys.executable, "-c", WORKER, url], 1, on_exit=queue.mark_worker_dead
        ):
            while not job.is_final:
                job = await queue.wait_for_change(
                    job.id, seen=job.version, timeout=PATIENCE_SECONDS
                )
        return job

    async def served():
        queue = await open_queue(url, QueueConfig(lease_seconds=3600.0))
        try:
            return await asyncio.wait_for(done(queue), 60.0)
        finally:
            await queue.close()

    job = asyncio.run(served())
    assert (job.status, job.attempts, job.redeliveries) == (JobStatus.COMPLETED, 2, 1)
