"""What every source of jobs promises its worker: the queues, and RunPod's platform."""

import asyncio
import base64
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

from multitalk.errors import NotFound
from multitalk.job import Progress
from multitalk.media.fragments import Fragment
from multitalk.schema import JobStatus
from multitalk.serving.queue import JobQueue, Outcome, Submission, open_queue
from multitalk.serving.runpod.platform import Addresses, Platform
from multitalk.serving.runpod.source import open_source
from multitalk.serving.worker.queue_source import QueueSource
from multitalk.serving.worker.source import Assignment, JobSource
from patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio
DONE = Outcome(status=JobStatus.COMPLETED, output={"status": "success", "seed": 7})
BROKEN = Outcome(status=JobStatus.FAILED, error="no face", output={"code": "no_face_found"})


@dataclass
class Seen:
    """A job as its sender sees it."""

    status: str
    output: Any
    error: object


class QueueSide:
    """Senders and workers of a queue."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack

    async def open(self) -> "QueueSide":
        self._queue = await self._opened()
        return self

    async def source(self, worker: str) -> JobSource:
        return QueueSource(await self._opened(), worker)

    async def send(self, given: object) -> str:
        return (await self._queue.submit(Submission(input=given, stream=True))).id

    async def cancel(self, job_id: str) -> None:
        await self._queue.cancel(job_id)

    async def seen(self, job_id: str) -> Seen:
        job = await self._queue.get(job_id)
        output = job.output if job.is_final else job.progress
        return Seen(job.status.value, output, job.error)

    async def fragments(self, job_id: str) -> list[tuple[dict[str, Any], bytes]]:
        found = []
        for piece in await self._queue.pieces(job_id):
            chunks = [chunk async for chunk in self._queue.media.read(piece.output["video"])]
            found.append((piece.output, b"".join(chunks)))
        return found

    async def _opened(self) -> JobQueue:
        queue = await open_queue(self._url)
        self._stack.push_async_callback(queue.close)
        return queue


class PlatformSide:
    """RunPod's clients, and its workers."""

    def __init__(self, plane: ControlPlane, stack: AsyncExitStack) -> None:
        self.plane = plane
        self._stack = stack

    async def source(self, worker: str) -> JobSource:
        session = await self._stack.enter_async_context(
            ClientSession(headers={"Authorization": WORKER_KEY})
        )
        addresses = Addresses.from_environment(self.plane.environment(worker), worker)
        opening = open_source(Platform(session, addresses), set(), is_streamed=True)
        return await self._stack.enter_async_context(opening)

    async def send(self, given: object) -> str:
        return self.plane.submit(given).id

    async def cancel(self, job_id: str) -> None:
        self.plane.cancel(self.plane.jobs[job_id])

    async def seen(self, job_id: str) -> Seen:
        job = self.plane.jobs[job_id]
        return Seen(job.status, job.output, job.error)

    async def fragments(self, job_id: str) -> list[tuple[dict[str, Any], bytes]]:
        outputs: list[Any] = [chunk["output"] for chunk in self.plane.jobs[job_id].chunks]
        return [(output, base64.b64decode(output["video_base64"])) for output in outputs]


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


async def claimed(source: JobSource) -> Assignment:
    """The next job, which there is."""
    return await until(source.claim)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What a look finds, once it finds something."""

    async def looking() -> Any:
        while not (found := await look()):
            await asyncio.sleep(0.02)
        return found

    return await asyncio.wait_for(looking(), PATIENCE_SECONDS)


async def test_a_job_is_claimed_as_it_was_sent_and_once(side: Side) -> None:
    sent = await side.send(job_input())
    source = await side.source("worker-1")
    assignment = await claimed(source)
    assert (assignment.job_id, assignment.input) == (sent, job_input())
    assert (assignment.attempts, assignment.is_streamed) == (1, True)
    assert (await side.seen(sent)).status == "IN_PROGRESS"
    assert await source.renew(assignment, None) is None
    other = asyncio.create_task((await side.source("worker-2")).claim())
    await asyncio.wait({other}, timeout=0.5)
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert other.cancelled() or other.result() is None


async def test_jobs_are_claimed_in_their_order(side: Side) -> None:
    sent = [await side.send(job_input(str(number))) for number in range(3)]
    source = await side.source("worker-1")
    for job_id in sent:
        assignment = await claimed(source)
        assert assignment.job_id == job_id
        assert await source.finish(assignment, DONE, is_ending=False)


async def test_a_claim_that_is_cancelled_loses_no_job(side: Side) -> None:
    source = await side.source("worker-1")
    claiming = asyncio.create_task(source.claim())
    await asyncio.sleep(0.2)
    sent = await side.send(job_input())
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    assignment = None if claiming.cancelled() else claiming.result()
    assert (assignment or await claimed(source)).job_id == sent


@pytest.mark.parametrize("outcome", [DONE, BROKEN], ids=["done", "broken"])
async def test_a_job_ends_as_its_worker_says(side: Side, outcome: Outcome) -> None:
    sent = await side.send(job_input())
    source = await side.source("worker-1")
    assert await source.finish(await claimed(source), outcome, is_ending=False)
    seen = await side.seen(sent)
    assert (seen.status, seen.error) == (outcome.status.value, outcome.error)
    assert seen.output.items() >= outcome.output.items()


async def test_progress_is_seen_and_does_not_follow_the_end(side: Side) -> None:
    sent = await side.send(job_input())
    source = await side.source("worker-1")
    assignment = await claimed(source)
    assert await source.renew(assignment, Progress("render", 5, 10)) is None

    async def is_seen() -> bool:
        return (await side.seen(sent)).output == {"stage": "render", "done": 5, "total": 10}

    await until(is_seen)
    assert await source.renew(assignment, Progress("render", 6, 10)) is None
    assert await source.finish(assignment, DONE, is_ending=False)
    assert (await side.seen(sent)).output == DONE.output


async def test_a_worker_learns_that_its_job_is_cancelled(side: Side) -> None:
    sent = await side.send(job_input())
    source = await side.source("worker-1")
    assignment = await claimed(source)
    await side.cancel(sent)
    assert await until(lambda: source.renew(assignment, None)) == "cancelled"
    following = await side.send(job_input())
    assert (await claimed(source)).job_id == following
    assert (await side.seen(sent)).status == "CANCELLED"


async def test_fragments_come_in_order_with_their_places(side: Side) -> None:
    sent = await side.send(job_input())
    source = await side.source("worker-1")
    assignment = await claimed(source)
    for number in range(3):
        fragment = Fragment(f"bytes {number}".encode(), 25 * number, 25)
        await source.add_fragment(assignment, fragment, number)
    found = await side.fragments(sent)
    assert [content for _, content in found] == [b"bytes 0", b"bytes 1", b"bytes 2"]
    places = [{name: place[name] for name in ("segment", "start", "frames")} for place, _ in found]
    assert places == [{"segment": n, "start": float(n), "frames": 25} for n in range(3)]


async def test_a_job_that_is_given_back_is_claimed_again(side: Side) -> None:
    source = await side.source("worker-1")
    if not source.takes_back:
        return  # a lease that is not kept is all that there is
    sent = await side.send(job_input())
    await source.release(await claimed(source), counted=False)
    again = await claimed(source)
    assert (again.job_id, again.attempts) == (sent, 1)
    await source.release(again, counted=True)
    assert (await claimed(source)).attempts == 2


async def test_files_of_a_job_are_its_own(side: Side, tmp_path: Path) -> None:
    source = await side.source("worker-1")
    if source.media is None:
        return
    file = tmp_path / "talk.mp4"
    file.write_bytes(b"video")
    for _ in range(2):
        await side.send(job_input())
    first, second = await claimed(source), await claimed(source)
    name = await source.media.put(first, file)
    assert (await source.media.fetch(first, name, tmp_path)).read_bytes() == b"video"
    with pytest.raises(NotFound):
        await source.media.fetch(second, name, tmp_path)
