"""Changes on NATS that are refused, or whose answers are lost: what was made of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from nats_server import NatsServer

from multitalk.errors import QueueUnavailable
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
        self._cuts = False
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
        self._lose(job_id, "state", for_good=for_good)

    def cut_after_submission(self, job_id: str) -> None:
        """Pass nothing on, in either direction, once a job's submission is stored."""
        self._lose(job_id, "submissions", for_good=True)
        self._cuts = True

    def _lose(self, job_id: str, bucket: str, *, for_good: bool) -> None:
        self._subject = f"PUB $KV.multitalk-{bucket}.{job_id} ".encode()
        self._for_good = for_good
        self.passed.clear()

    def answer(self) -> None:
        """Send all that was kept back."""
        self._silent = self._cuts = False
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
            if self._silent and self._cuts:
                continue
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
    monkeypatch.setattr("multitalk.serving.queue.jetstream_keys.PATIENCE_SECONDS", 0.5)
    it = await open_queue(proxy.url)
    yield it
    await it.close()


@pytest.fixture
async def other(nats_server: NatsServer) -> AsyncIterator[JobQueue]:
    """The queue, of another process that has answers."""
    it = await open_queue(nats_server.url)
    yield it
    await it.close()


def with_key(key: str = "k") -> Submission:
    return Submission(input={}, owner="me", idempotency_key=key, job_id=new_job_id())


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
    first, second = with_key(), with_key()

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


async def test_a_key_whose_job_was_never_stored_is_the_next_submission_s(
    proxy: SilentProxy, queue: JobQueue, other: JobQueue
) -> None:
    first, second = with_key(), with_key()
    proxy.cut_after_submission(str(first.job_id))
    with pytest.raises(QueueUnavailable):
        await queue.submit(first)
    proxy.answer()
    assert (await queue.submit(second)).id == second.job_id
    lease = await other.claim("worker", wait=5)
    assert lease is not None
    assert lease.submission == second  # its files are stored under its own id
    assert (await other.submit(first)).id == second.job_id


async def test_a_batch_of_which_the_last_job_was_never_stored_is_replaced_by_the_next_one(
    proxy: SilentProxy, queue: JobQueue, other: JobQueue
) -> None:
    first, second = [with_key("a"), with_key("b")], [with_key("a"), with_key("b")]
    proxy.cut_after_submission(str(first[1].job_id))
    with pytest.raises(QueueUnavailable):
        await queue.submit_all(first)
    proxy.answer()
    jobs = await queue.submit_all(second)
    assert [job.id for job in jobs] == [one.job_id for one in second]
    leases = [await other.claim("worker", wait=5) for _ in second]
    assert [lease.submission for lease in leases if lease] == second
    assert await other.claim("worker", wait=0.2) is None


@pytest.mark.parametrize("number", [1, 2])
async def test_a_submission_that_another_one_has_overtaken_stores_nothing(
    queue: JobQueue, other: JobQueue, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    slow, fast = [[with_key(str(key)) for key in range(number)] for _ in "12"]
    store, held, passed = queue._entries.store_submission, asyncio.Event(), asyncio.Event()

    async def store_later(job_id: str, submission: Submission) -> None:
        if submission is slow[-1]:
            held.set()
            await passed.wait()
        await store(job_id, submission)

    monkeypatch.setattr(queue._entries, "store_submission", store_later)
    sending = asyncio.create_task(queue.submit_all(slow))
    await held.wait()
    assert [job.id for job in await other.submit_all(fast)] == [one.job_id for one in fast]
    passed.set()
    with pytest.raises(QueueUnavailable):
        await sending
    assert {job.id for job in await queue.jobs()} == {one.job_id for one in fast}
    assert [job.id for job in await queue.submit_all(slow)] == [one.job_id for one in fast]


async def test_what_was_stored_for_a_job_that_never_followed_is_deleted(
    proxy: SilentProxy, queue: JobQueue, other: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, kept = with_key("lost"), with_key("kept")
    await queue.submit(kept)
    proxy.cut_after_submission(str(lost.job_id))
    with pytest.raises(QueueUnavailable):
        await queue.submit(lost)
    proxy.answer()
    monkeypatch.setattr("multitalk.serving.queue.jetstream.ORPHAN_SECONDS", -60.0)
    await other.sweep()
    store, later = other._store, datetime.now(timezone.utc) + timedelta(hours=1)
    submissions = await store.entries(store.submissions, later)
    assert [entry.key for entry in submissions] == [kept.job_id]
    assert [entry.value for entry in await store.entries(store.keys, later)] == [
        str(kept.job_id).encode()
    ]


async def test_a_key_that_was_taken_again_outlives_the_deletion_of_its_earlier_job(
    queue: JobQueue, other: JobQueue
) -> None:
    earlier, later = with_key(), with_key()
    job = await queue.submit(earlier)
    await queue.purge()
    await other.submit(later)
    await queue._keys.release_of(job)  # as a process does that was slow to delete the job
    assert (await queue.submit(with_key())).id == later.job_id
