"""What every source of jobs promises its worker: the queues, and RunPod's platform."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_jobs import job_input

sys.path.append(str(Path(__file__).parents[1] / "serving" / "runpod"))

from aiohttp import ClientSession
from control_plane import WORKER_KEY, ControlPlane

from multitalk.schema import JobStatus
from multitalk.serving.queue import (
    JobQueue,
    Lease,
    Outcome,
    Submission,
    WorkerRecord,
    open_queue,
)
from multitalk.serving.runpod.platform import Addresses, Platform
from multitalk.serving.runpod.runpod_source import open_source
from multitalk.serving.worker.job_source import JobSource
from patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio
DONE = Outcome(status=JobStatus.COMPLETED, output={"status": "success", "seed": 7})
BROKEN = Outcome(status=JobStatus.FAILED, error="no face", output={"code": "no_face_found"})


@dataclass
class SeenJob:
    """A job as its sender sees it."""

    status: str
    output: Any
    error: object


@dataclass
class SourceWorker:
    """A worker's name and its source."""

    name: str
    source: JobSource

    async def claim(self) -> Lease | None:
        return await self.source.claim(self.name, wait=1.0)


class QueueSide:
    """Senders and workers of a queue."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack

    async def open(self) -> "QueueSide":
        self._queue = await self._opened()
        return self

    async def worker(self, name: str) -> SourceWorker:
        return SourceWorker(name, await self._opened())

    async def send(self, given: object) -> str:
        return (await self._queue.submit(Submission(input=given, stream=True))).id

    async def cancel(self, job_id: str) -> None:
        await self._queue.cancel(job_id)

    async def seen(self, job_id: str) -> SeenJob:
        job = await self._queue.get(job_id)
        output = job.output if job.is_final else job.progress
        return SeenJob(job.status.value, output, job.error)

    async def parts(self, job_id: str) -> list[Any]:
        return [piece.output for piece in await self._queue.fragments(job_id)]

    async def _opened(self) -> JobQueue:
        queue = await open_queue(self._url)
        self._stack.push_async_callback(queue.close)
        return queue


class PlatformSide:
    """RunPod's clients, and its workers."""

    def __init__(self, plane: ControlPlane, stack: AsyncExitStack) -> None:
        self.plane = plane
        self._stack = stack

    async def worker(self, name: str) -> SourceWorker:
        session = await self._stack.enter_async_context(
            ClientSession(headers={"Authorization": WORKER_KEY})
        )
        addresses = Addresses.from_environment(self.plane.environment(name), name)
        opening = open_source(Platform(session, addresses), set(), is_streamed=True)
        return SourceWorker(name, await self._stack.enter_async_context(opening))

    async def send(self, given: object) -> str:
        return self.plane.submit(given).id

    async def cancel(self, job_id: str) -> None:
        self.plane.cancel(self.plane.jobs[job_id])

    async def seen(self, job_id: str) -> SeenJob:
        job = self.plane.jobs[job_id]
        return SeenJob(job.status, job.output, job.error)

    async def parts(self, job_id: str) -> list[Any]:
        return [chunk["output"] for chunk in self.plane.jobs[job_id].chunks]


Side = QueueSide | PlatformSide


@asynccontextmanager
async def side_of(kind: str, request: pytest.FixtureRequest, directory: Path):
    async with AsyncExitStack() as stack:
        if kind == "runpod":
            plane = stack.enter_context(ControlPlane(poll_seconds=1.0))
            stack.push_async_callback(asyncio.sleep, 0.05)  # closed sessions let go of sockets
            yield PlatformSide(plane, stack)
        else:
            nats = kind == "nats"
            url = (
                request.getfixturevalue("nats_server").url
                if nats
                else f"sqlite://{directory}/queue.db"
            )
            yield await QueueSide(url, stack).open()


@pytest.fixture(params=["sqlite", "nats", "runpod"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    async with side_of(request.param, request, tmp_path) as opened:
        yield opened


async def claimed(worker: SourceWorker) -> Lease:
    """The next job, which there is."""
    return await until(worker.claim)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What a look finds, once it finds something."""

    async def looking() -> Any:
        while not (found := await look()):
            await asyncio.sleep(0.02)
        return found

    return await asyncio.wait_for(looking(), PATIENCE_SECONDS)


async def test_a_job_is_claimed_as_it_was_sent_and_once(side: Side) -> None:
    sent = await side.send(job_input())
    worker = await side.worker("worker-1")
    lease = await claimed(worker)
    assert (lease.job.id, lease.submission.input) == (sent, job_input())
    assert (lease.job.attempts, lease.submission.stream) == (1, True)
    assert (await side.seen(sent)).status == "IN_PROGRESS"
    assert await worker.source.renew(lease) is None
    other = asyncio.create_task((await side.worker("worker-2")).claim())
    await asyncio.wait({other}, timeout=0.5)
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert other.cancelled() or other.result() is None


async def test_jobs_are_claimed_in_their_order(side: Side) -> None:
    sent = [await side.send(job_input(str(number))) for number in range(3)]
    worker = await side.worker("worker-1")
    for job_id in sent:
        lease = await claimed(worker)
        assert lease.job.id == job_id
        assert await worker.source.finish(lease, DONE)


async def test_a_claim_that_is_cancelled_loses_no_job(side: Side) -> None:
    worker = await side.worker("worker-1")
    claiming = asyncio.create_task(worker.claim())
    await asyncio.sleep(0.2)
    sent = await side.send(job_input())
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    lease = None if claiming.cancelled() else claiming.result()
    assert (lease or await claimed(worker)).job.id == sent


@pytest.mark.parametrize("outcome", [DONE, BROKEN], ids=["done", "broken"])
async def test_a_job_ends_as_its_worker_says(side: Side, outcome: Outcome) -> None:
    sent = await side.send(job_input())
    worker = await side.worker("worker-1")
    assert await worker.source.finish(await claimed(worker), outcome)
    seen = await side.seen(sent)
    assert (seen.status, seen.error) == (outcome.status.value, outcome.error)
    assert seen.output.items() >= outcome.output.items()


async def test_progress_is_seen_and_does_not_follow_the_end(side: Side) -> None:
    sent = await side.send(job_input())
    worker = await side.worker("worker-1")
    lease = await claimed(worker)
    first, second = ({"stage": "render", "done": done, "total": 10} for done in (5, 6))
    assert await worker.source.renew(lease, first) is None

    async def is_seen() -> bool:
        return (await side.seen(sent)).output == first

    await until(is_seen)
    assert await worker.source.renew(lease, second) is None
    assert await worker.source.finish(lease, DONE)
    assert (await side.seen(sent)).output == DONE.output


async def test_a_worker_learns_that_its_job_is_cancelled(side: Side) -> None:
    sent = await side.send(job_input())
    worker = await side.worker("worker-1")
    lease = await claimed(worker)
    await side.cancel(sent)
    assert await until(lambda: worker.source.renew(lease)) == "cancelled"
    following = await side.send(job_input())
    assert (await claimed(worker)).job.id == following
    assert (await side.seen(sent)).status == "CANCELLED"


async def test_parts_of_a_stream_come_in_order(side: Side) -> None:
    sent = await side.send(job_input())
    worker = await side.worker("worker-1")
    lease = await claimed(worker)
    parts = [{"segment": number, "start": float(number), "frames": 25} for number in range(3)]
    for part in parts:
        assert await worker.source.add_fragment(lease, part)
    assert await side.parts(sent) == parts


async def test_a_job_that_is_given_back_is_claimed_again(side: Side) -> None:
    if isinstance(side, PlatformSide):
        return  # a lease that is not kept is all that there is
    worker = await side.worker("worker-1")
    sent = await side.send(job_input())
    await worker.source.release(await claimed(worker))
    again = await claimed(worker)
    assert (again.job.id, again.job.attempts) == (sent, 1)
    await worker.source.release(again, counted=True)
    assert (await claimed(worker)).job.attempts == 2


async def test_a_worker_is_announced_until_it_leaves(side: Side) -> None:
    worker = await side.worker("worker-1")
    record = WorkerRecord(id="worker-1", engine="warp", started_at=0.0)
    await worker.source.announce(record)
    await worker.source.sweep()
    await side.send(job_input())
    lease = await claimed(worker)
    await worker.source.leave("worker-1")
    assert await worker.source.finish(lease, DONE)
    assert (await side.seen(lease.job.id)).status == "COMPLETED"
