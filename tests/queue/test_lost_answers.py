"""Changes on NATS that are refused, or whose answers are lost: what was made of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats_server import NatsServer

from multitalk.errors import NotFound, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import (
    JobQueue,
    Outcome,
    OutcomeUnknown,
    Submission,
    new_job_id,
    open_queue,
)
from multitalk.serving.queue.records import Job

pytestmark = pytest.mark.anyio
DONE = Outcome(status=JobStatus.COMPLETED, output={})
FAILED = Outcome(status=JobStatus.FAILED, error="no")


class SilentProxy:
    """Passes a connection on to a server; its answers can be kept back.

    Attributes:
        url: Its address.
        passed: Set once a message was passed whose answer is kept back.
    """

    def __init__(self, server: NatsServer) -> None:
        self.passed = asyncio.Event()
        self._server = server
        self._subject: bytes | None = None
        self._for_good = False
        self._silent = False
        self._kept: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "SilentProxy":
        self._listening = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose_answer(self, job_id: str, *, for_good: bool = False) -> None:
        """Keep back what follows the next change of a job, until the next message or for good."""
        self._subject = f"PUB $KV.multitalk-state.{job_id} ".encode()
        self._for_good = for_good
        self.passed.clear()

    def answer(self) -> None:
        """Send all that was kept back."""
        self._silent = False
        for writer, data in self._kept:
            writer.write(data)
        self._kept.clear()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        port = self._server.port
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        sides = (self._to_server(reader, server_writer), self._to_client(server_reader, writer))
        try:
            with suppress(OSError):
                await asyncio.gather(*sides)
        finally:
            server_writer.close()
            writer.close()

    async def _to_server(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            if self._silent and b"PUB " in data and not self._for_good:
                self.answer()
            if self._subject is not None and self._subject in data:
                self._subject, self._silent = None, True
                self.passed.set()
            server.write(data)
            await server.drain()

    async def _to_client(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            if self._silent:
                self._kept.append((client, data))
            else:
                client.write(data)


@pytest.fixture
async def proxy(nats_server: NatsServer) -> AsyncIterator[SilentProxy]:
    async with SilentProxy(nats_server) as it:
        yield it


@pytest.fixture
async def queue(proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JobQueue]:
    store = pytest.importorskip("multitalk.serving.queue.jetstream_store")
    monkeypatch.setattr(store, "ANSWER_SECONDS", 1.0)
    it = await open_queue(proxy.url)
    yield it
    await it.close()


@pytest.fixture
async def other(nats_server: NatsServer) -> AsyncIterator[JobQueue]:
    """The queue, of another process that has answers."""
    it = await open_queue(nats_server.url)
    yield it
    await it.close()


async def sent(queue: JobQueue) -> Job:
    return await queue.submit(Submission(input={}))


async def test_a_job_whose_acceptance_is_not_answered_is_accepted_once(
    proxy: SilentProxy, queue: JobQueue
) -> None:
    job_id = new_job_id()
    proxy.lose_answer(job_id)
    job = await queue.submit(Submission(input={}, job_id=job_id))
    assert proxy.passed.is_set()
    assert [one.id for one in await queue.jobs()] == [job.id] == [job_id]


async def test_a_job_that_is_claimed_before_its_acceptance_is_answered_is_accepted(
    proxy: SilentProxy, queue: JobQueue, other: JobQueue
) -> None:
    job_id = new_job_id()
    proxy.lose_answer(job_id)
    sending = asyncio.create_task(queue.submit(Submission(input={}, job_id=job_id)))
    lease = await other.claim("worker", wait=5)
    assert lease is not None
    assert not sending.done()
    assert (await sending).id == lease.job.id
    assert (await queue.get(job_id)).status is JobStatus.IN_PROGRESS
    assert await queue.claim("another", wait=0.2) is None


async def test_a_job_that_may_have_been_accepted_is_told_as_such_and_is_kept(
    proxy: SilentProxy, queue: JobQueue, other: JobQueue
) -> None:
    last = new_job_id()
    batch = [Submission(input={}), Submission(input={}, job_id=last)]
    proxy.lose_answer(last, for_good=True)
    with pytest.raises(OutcomeUnknown):
        await queue.submit_all(batch)
    leases = [await other.claim("worker", wait=5) for _ in batch]
    assert last in [lease.job.id for lease in leases if lease is not None]
    assert None not in leases
    proxy.answer()


async def test_a_claim_that_is_not_answered_is_a_claim(proxy: SilentProxy, queue: JobQueue) -> None:
    job = await sent(queue)
    proxy.lose_answer(job.id)
    lease = await queue.claim("worker", wait=5)
    assert proxy.passed.is_set()
    assert lease is not None
    assert (lease.job.id, lease.job.attempts) == (job.id, 1)
    assert await queue.finish(lease, DONE)


async def test_a_job_is_queued_again_once_though_that_is_not_answered(
    proxy: SilentProxy, queue: JobQueue, other: JobQueue
) -> None:
    job = await sent(queue)
    lease = await queue.claim("worker", wait=5)
    assert lease is not None
    assert await queue.finish(lease, FAILED)
    proxy.lose_answer(job.id)
    again = asyncio.create_task(queue.retry(job.id))
    lease = await other.claim("worker", wait=5)
    assert lease is not None
    assert (await again).redeliveries == 1
    assert proxy.passed.is_set()


async def test_a_key_of_a_job_that_was_refused_is_free_again(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (
        Submission(input={}, owner="me", idempotency_key="k", job_id=new_job_id()) for _ in "12"
    )

    async def refuse(*_: object) -> None:
        raise QueueUnavailable("queue_full")

    monkeypatch.setattr(queue._entries, "store_submission", refuse)
    with pytest.raises(QueueUnavailable):
        await queue.submit(first)
    monkeypatch.undo()
    # The second one's files are stored under its own id.
    assert (await queue.submit(second)).id == second.job_id


async def test_a_key_that_another_submission_uses_stays_though_the_first_one_is_refused(
    queue: JobQueue, other: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Submission(input={}, owner="me", idempotency_key="k")
    sent: list[Job] = []

    async def refuse(*_: object) -> None:
        sent.append(await other.submit(mine))
        raise QueueUnavailable("queue_full")

    monkeypatch.setattr(queue._entries, "store_submission", refuse)
    with pytest.raises(QueueUnavailable):
        await queue.submit(mine)
    monkeypatch.undo()
    assert [(await queue.submit(mine)).id] == [job.id for job in sent]


async def test_files_whose_deletion_failed_are_deleted_by_the_next_sweep(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sent(queue)
    await queue.media.put(b"video", job_id=job.id, suffix=".mp4")
    await queue.cancel(job.id)

    async def refuse(job_id: str) -> None:
        raise QueueUnavailable("queue_failed", reason="busy")

    monkeypatch.setattr(queue.media, "remove_job", refuse)
    with pytest.raises(QueueUnavailable):
        await queue.forget(job.id)
    monkeypatch.undo()
    await queue.sweep()
    assert await queue.media.job_bytes(job.id) == 0
    with pytest.raises(NotFound):
        await queue.get(job.id)
