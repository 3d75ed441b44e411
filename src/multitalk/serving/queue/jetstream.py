"""A queue on NATS JetStream, for many machines.

The state of a job is an entry of a bucket, changed by compare-and-set, and it decides. The stream
only hands jobs out: a message that is not acknowledged within a lease's time is delivered again,
and whoever gets it looks at the state. So a message too many does no harm, and one that is missing
is sent again by `sweep`. Leases are compared by clock: machines' clocks must agree to some seconds.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from nats.aio.msg import Msg
from nats.errors import TimeoutError as NoMessage
from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError

from multitalk.errors import Conflict
from multitalk.schema import JobStatus
from multitalk.serving.queue import rules
from multitalk.serving.queue.jetstream_media import JetStreamMedia
from multitalk.serving.queue.jetstream_store import (
    CONSUMERS,
    STREAM,
    SUBJECTS,
    WRONG_SEQUENCE,
    Store,
    connect,
    translated,
)
from multitalk.serving.queue.mirror import Mirror
from multitalk.serving.queue.records import (
    Counts,
    Job,
    Lease,
    Outcome,
    PieceRecord,
    Stop,
    Submission,
    WorkerRecord,
)
from multitalk.serving.queue.ruled import Rule, RuledQueue, count, unknown

AT_ONCE_SECONDS = 0.05
REPAIR_SECONDS = 5.0  # how old a job without a message is before it gets another one
TIDY_SECONDS = 600.0  # how often marks of removed jobs are removed themselves
INLINE_BYTES = 256 * 2**10  # of a submission; a larger one is an object


class JetStreamQueue(RuledQueue):
    """A `JobQueue` on a NATS server; `open` makes one."""

    def __init__(self, store: Store, terms: rules.Terms) -> None:
        super().__init__(terms)
        self.media = JetStreamMedia(store)
        self._store = store
        self._mirror = Mirror(store.state)
        self._pulls: dict[bool, JetStreamContext.PullSubscription] = {}
        self._messages: dict[str, Msg] = {}  # by lease
        self._repair_at = self._tidy_at = time.monotonic()

    @classmethod
    async def open(cls, url: str, terms: rules.Terms | None = None) -> "JetStreamQueue":
        """Open the queue on a server, where all it needs is made if it is not there.

        Raises:
            QueueUnavailable: No server answers, or it refuses.
        """
        terms = terms or rules.Terms()
        queue = cls(await connect(url, lease_seconds=terms.lease_seconds), terms)
        with translated():
            await queue._mirror.start()
        return queue

    async def close(self) -> None:
        """As `JobQueue.close`."""
        with translated():
            await self._mirror.close()
            await self._store.client.close()

    async def submit(self, submission: Submission) -> Job:
        """As `JobQueue.submit`: what it needs, then the job, then the message about it."""
        job = rules.accepted(submission, self.terms.clock())
        with translated():
            if job.idempotency_key is not None:
                job_id = await self._reserve(job)
                if (kept := await self._find(job_id)) is not None:
                    return rules.same(kept, submission)
                job = job.model_copy(update={"id": job_id})
            await self._keep_submission(job, submission)
            try:
                revision = await self._store.state.create(job.id, _packed(job))
            except KeyWrongLastSequenceError as error:
                kept = await self._find(job.id)
                if job.idempotency_key is None or kept is None:
                    raise Conflict("job_key_reused") from error
                return rules.same(kept, submission)  # sent twice at the same time
            self._mirror.note(job, revision)
            await self._hand_out(job)
        return job

    async def get(self, job_id: str) -> Job:
        """As `JobQueue.get`."""
        with translated():
            job = await self._find(job_id)
        if job is None:
            raise unknown(job_id)
        return job

    async def submission(self, job_id: str) -> Submission:
        """As `JobQueue.submission`."""
        with translated():
            try:
                found = (await self._store.submissions.get(job_id)).value or b""
            except KeyNotFoundError as error:
                raise unknown(job_id) from error
        if not found.startswith(b"{"):
            name = found.decode()
            found = b"".join([chunk async for chunk in self.media.read(name)])
        return Submission.of_text(found)

    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        owner: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        """As `JobQueue.jobs`."""
        found = [
            job
            for _, job in self._mirror.jobs()
            if status in (None, job.status) and owner in (None, job.owner)
        ]
        found.sort(key=_age, reverse=True)
        last = self._mirror.get(before) if before else None
        if last is not None:
            found = [job for job in found if _age(job) < _age(last)]
        return found[:limit]

    async def wait_for_change(self, job_id: str, *, seen: int, timeout: float) -> Job:
        """As `JobQueue.wait_for_change`."""
        await self._mirror.wait(job_id, seen=seen, timeout=timeout)
        return await self.get(job_id)

    async def pieces(self, job_id: str, *, after: int = 0) -> list[PieceRecord]:
        """As `JobQueue.pieces`."""
        job = await self.get(job_id)
        found = []
        with translated():
            for number in range(max(after + 1, job.first_piece), job.next_piece):
                try:
                    entry = await self._store.pieces.get(f"{job_id}.{job.token}.{number}")
                except KeyNotFoundError:  # the job was forgotten, or sent again, meanwhile
                    break
                found.append(PieceRecord.of_text(entry.value or b""))
        return found

    async def retry(self, job_id: str) -> Job:
        """As `JobQueue.retry`."""
        job = await super().retry(job_id)
        with translated():
            await self._hand_out(job)
        return job

    async def cancel(self, job_id: str) -> Job:
        """As `JobQueue.cancel`."""
        job = await super().cancel(job_id)
        with translated():
            await self._take_back(job)
        return job

    async def _abandon(self, job_id: str, worker_id: str) -> Job:
        """As `RuledQueue._abandon`: the dead worker's message would come back a lease later."""
        job = await super()._abandon(job_id, worker_id)
        with translated():
            await self._take_back(job)
            if not job.is_final:
                await self._hand_out(job)
        return job

    async def ahead(self, job_id: str) -> int:
        """As `JobQueue.ahead`."""
        own = await self.get(job_id)
        return sum(
            job.status is JobStatus.IN_PROGRESS
            or (job.status is JobStatus.IN_QUEUE and _turn(job) < _turn(own))
            for _, job in self._mirror.jobs()
        )

    async def purge(self, *, owner: str | None = None) -> int:
        """As `JobQueue.purge`."""
        waiting = [
            (revision, job)
            for revision, job in self._mirror.jobs()
            if job.status is JobStatus.IN_QUEUE and owner in (None, job.owner)
        ]
        with translated():
            return sum([await self._forget(job, revision) for revision, job in waiting])

    async def counts(self) -> Counts:
        """As `JobQueue.counts`."""
        return count((job.status, 1, job.redeliveries) for _, job in self._mirror.jobs())

    async def workers(self) -> list[WorkerRecord]:
        """As `JobQueue.workers`."""
        since = self.terms.clock() - self.terms.lease_seconds
        found = []
        with translated():
            watcher = await self._store.workers.watchall(ignore_deletes=True)
            async for entry in watcher:
                if entry is None:
                    break
                found.append(WorkerRecord.of_text(entry.value or b""))
            await watcher.stop()
        return sorted(
            (worker for worker in found if worker.seen_at >= since), key=lambda worker: worker.id
        )

    async def announce(self, worker: WorkerRecord) -> None:
        """As `JobQueue.announce`."""
        seen = worker.model_copy(update={"seen_at": self.terms.clock()})
        with translated():
            await self._store.workers.put(worker.id, seen.as_text().encode())

    async def leave(self, worker_id: str) -> None:
        """As `JobQueue.leave`."""
        with translated():
            await self._store.workers.delete(worker_id)

    async def renew(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Stop | None:
        """As `JobQueue.renew`."""
        stop = await super().renew(lease, progress)
        if stop is None and (message := self._messages.get(lease.token)):
            with translated():
                await message.in_progress()
        return stop

    async def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """As `JobQueue.finish`."""
        is_ours = await super().finish(lease, outcome)
        if message := self._messages.pop(lease.token, None):
            with translated():
                await message.ack() if is_ours else None
        return is_ours

    async def release(self, lease: Lease) -> None:
        """As `JobQueue.release`."""
        await super().release(lease)
        if message := self._messages.pop(lease.token, None):
            with translated():
                await message.nak()

    async def sweep(self) -> None:
        """As `JobQueue.sweep`."""
        now = self.terms.clock()
        for revision, job in self._mirror.jobs():
            if now < rules.due(job):
                continue
            if job.is_final:
                with translated():
                    await self._forget(job, revision)
            else:
                after = await self._change(
                    job.id, lambda job: rules.swept(job, now, self.terms) or job
                )
                if after.is_final:
                    with translated():
                        await self._take_back(after)
        with translated():
            await self._repair(now)

    async def _repair(self, now: float) -> None:
        """Send again what was lost between a job and its message; remove marks of what is gone."""
        if time.monotonic() >= self._repair_at:
            self._repair_at = time.monotonic() + REPAIR_SECONDS
            old = [
                job
                for _, job in self._mirror.jobs()
                if job.status is JobStatus.IN_QUEUE and now - job.queued_at > REPAIR_SECONDS
            ]
            if old:
                info = await self._store.stream.stream_info(STREAM, subjects_filter=">")
                there = info.state.subjects or {}
                for job in old:
                    if _subject(job) not in there:
                        await self._hand_out(job)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_SECONDS
            await self._store.state.purge_deletes(olderthan=round(TIDY_SECONDS))

    async def _change(self, job_id: str, rule: Rule, *, lasting: bool = True) -> Job:  # noqa: ARG002
        while True:
            with translated():
                try:
                    entry = await self._store.state.get(job_id)
                except KeyNotFoundError as error:
                    raise unknown(job_id) from error
                job = Job.of_text(entry.value or b"")
                after = rule(job)
                if after is job:
                    return job
                try:
                    revision = await self._store.state.update(
                        job_id, _packed(after), last=entry.revision
                    )
                except KeyWrongLastSequenceError:
                    continue  # somebody else was faster: look again
                self._mirror.note(after, revision)
                return after

    async def _take(self, worker_id: str, wait: float) -> Job | None:
        with translated():
            message = await self._next(False, wait) or await self._next(True, 0)
            if message is None:
                return None
            job_id = message.subject.rpartition(".")[2]
            known = await self._find(job_id)
        if known is None or known.is_final:
            job = known
        else:
            job = await self._change(job_id, lambda job: self._claimed(job, worker_id))
        with translated():
            if job is None or job.is_final:
                await message.ack()
                return None
            if (
                job.worker_id == worker_id
                and job.token
                and (known is None or job.token != known.token)
            ):
                self._messages[job.token] = message
                return job
            left = (job.lease_until or 0.0) - self.terms.clock()
            await message.nak(delay=max(left, AT_ONCE_SECONDS))  # somebody else is at it
            return None

    def _claimed(self, job: Job, worker_id: str) -> Job:
        now = self.terms.clock()
        if job.status is JobStatus.IN_PROGRESS:  # delivered again: its lease may have run out
            job = rules.swept(job, now, self.terms) or job
        return rules.claimed(job, worker_id, now, self.terms)

    async def _next(self, is_low: bool, wait: float) -> Msg | None:
        """The next message about a job of a priority."""
        if is_low not in self._pulls:
            self._pulls[is_low] = await self._store.stream.pull_subscribe_bind(
                consumer=CONSUMERS[is_low], stream=STREAM
            )
        try:
            (message,) = await self._pulls[is_low].fetch(1, timeout=max(wait, AT_ONCE_SECONDS))
        except NoMessage:
            return None
        return message

    async def _keep_piece(self, job: Job, output: Mapping[str, Any]) -> None:
        piece = PieceRecord(number=job.next_piece, output=dict(output))
        with translated():
            await self._store.pieces.put(
                f"{job.id}.{job.token}.{job.next_piece}", piece.as_text().encode()
            )

    async def _reserve(self, job: Job) -> str:
        """The id of the job that has an idempotency key: this one's if it is new."""
        try:
            await self._store.keys.create(_key(job), job.id.encode())
        except KeyWrongLastSequenceError:
            return ((await self._store.keys.get(_key(job))).value or b"").decode()
        return job.id

    async def _keep_submission(self, job: Job, submission: Submission) -> None:
        """Store what was sent; it may be there, of a sender that was faster or died.

        Raises:
            Conflict: Something else was sent.
        """
        try:
            content = await self._packed(job.id, submission)
            await self._store.submissions.create(job.id, content)
        except KeyWrongLastSequenceError as error:
            if (await self.submission(job.id)).fingerprint() != job.fingerprint:
                raise Conflict("job_key_reused") from error

    async def _packed(self, job_id: str, submission: Submission) -> bytes:
        """A submission as an entry: itself, or the name of the object that it is."""
        content = submission.as_text().encode()
        if len(content) <= INLINE_BYTES:
            return content
        return (await self.media.put(content, job_id=job_id, suffix=".json")).encode()

    async def _find(self, job_id: str) -> Job | None:
        try:
            entry = await self._store.state.get(job_id)
        except KeyNotFoundError:
            return None
        return Job.of_text(entry.value or b"")

    async def _hand_out(self, job: Job) -> None:
        """Send the message about a job, unless it is there."""
        try:
            await self._store.stream.publish(
                _subject(job), headers={Header.EXPECTED_LAST_SUBJECT_SEQUENCE: "0"}
            )
        except APIError as error:
            if error.err_code != WRONG_SEQUENCE:
                raise

    async def _take_back(self, job: Job) -> None:
        """Remove the message about a job that is final; whoever has it will see that it is."""
        await self._store.stream.purge_stream(STREAM, subject=_subject(job))

    async def _forget(self, job: Job, revision: int) -> bool:
        """Remove a job and all that it has, unless it has changed."""
        try:
            await self._store.state.delete(job.id, last=revision)
        except APIError as error:
            if error.err_code != WRONG_SEQUENCE:
                raise
            return False
        self._mirror.drop(job.id)
        await self._take_back(job)
        await self._store.forget("submissions", job.id)
        await self._store.forget("pieces", f"{job.id}.>")
        if job.idempotency_key is not None:
            await self._store.forget("keys", _key(job))
        await self.media.remove_job(job.id)
        return True


def _key(job: Job) -> str:
    """An idempotency key, any text, as a key of a bucket."""
    text = f"{job.owner}\0{job.idempotency_key}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _subject(job: Job) -> str:
    return f"{SUBJECTS[job.policy.low_priority]}.{job.id}"


def _packed(job: Job) -> bytes:
    return job.as_text().encode()


def _turn(job: Job) -> tuple[bool, float, str]:
    """Jobs are claimed in this order, the least first."""
    return job.policy.low_priority, job.queued_at, job.id


def _age(job: Job) -> tuple[float, str]:
    return job.created_at, job.id
