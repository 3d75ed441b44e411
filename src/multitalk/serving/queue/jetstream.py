"""A queue on NATS JetStream, for many machines.

The only authority is a job's entry in a bucket, which is changed by compare-and-set. Every process
follows the bucket. A worker picks the job whose owner's turn it is and tries to claim it; if
another was faster, it picks again.

A batch is stored job by job; each job names the last one. No job of it can be claimed until the
last one is stored. If the client dies before that, `sweep` deletes them.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError
from typing_extensions import override

from multitalk.errors import NotFound, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import jetstream_keys, transitions
from multitalk.serving.queue.base import (
    ORPHAN_SECONDS,
    ORPHANS_EVERY_SECONDS,
    JobQueue,
    OutcomeUnknown,
    Transition,
    sum_counts,
    unknown_job,
)
from multitalk.serving.queue.jetstream_cache import JobCache
from multitalk.serving.queue.jetstream_entries import JobEntries
from multitalk.serving.queue.jetstream_keys import IdempotencyKeys
from multitalk.serving.queue.jetstream_store import (
    WRONG_SEQUENCE,
    JetStreamMedia,
    Store,
    connect,
    translate_errors,
)
from multitalk.serving.queue.records import Counts, FragmentRecord, Job, Submission, WorkerRecord
from multitalk.serving.queue.transitions import QueueConfig

BATCH_STEP_SECONDS = 1e-6  # between the times of a batch's jobs, which give them their order
INCOMPLETE_SECONDS = 60.0  # age of a job whose batch is still incomplete, to be deleted
PURGE_SECONDS = 600.0  # how often delete markers are removed


class JetStreamQueue(JobQueue):
    """A queue on a NATS server; `open` makes one."""

    media: JetStreamMedia

    def __init__(self, store: Store, config: QueueConfig) -> None:
        super().__init__(config)
        self.media = JetStreamMedia(store)
        self._store = store
        self._entries = JobEntries(store, self.media)
        self._keys = IdempotencyKeys(store, self._entries)
        self._cache = JobCache(store.state, store.reconnected)
        self._arriving: Counter[str] = Counter()  # by owner: jobs being stored
        self._purge_at = self._orphans_at = time.monotonic()

    @classmethod
    async def open(cls, url: str, config: QueueConfig | None = None) -> "JetStreamQueue":
        """Open the queue on a server; its buckets are made if they do not exist.

        Raises:
            QueueUnavailable: No server answers, or it refuses.
        """
        config = config or QueueConfig()
        queue = cls(await connect(url, lease_seconds=config.lease_seconds), config)
        with translate_errors():
            await queue._cache.start()
        return queue

    @override
    async def close(self) -> None:
        with translate_errors():
            await self._cache.close()
            await self._store.client.close()

    @override
    async def submit_all(
        self, submissions: Sequence[Submission], *, max_waiting: int | None = None
    ) -> list[Job]:
        # what each job needs, then the job
        owner, number = submissions[0].owner, len(submissions)
        with translate_errors():
            existing = [await self._keys.find(submission) for submission in submissions]
        new = existing.count(None)
        transitions.check_waiting_limit(
            self._waiting_count(owner) + self._arriving[owner], new, max_waiting
        )
        self._arriving[owner] += number
        try:
            return await self._store_all(submissions, existing)
        finally:
            self._arriving[owner] -= number

    async def _store_all(
        self, submissions: Sequence[Submission], existing: list[Job | None]
    ) -> list[Job]:
        now, patient = self.config.clock(), time.monotonic() + jetstream_keys.PATIENCE_SECONDS
        stored: list[tuple[Job, int]] = []
        reserved: dict[str, int] = {}
        jobs, new = [], []
        try:
            for number, submission in enumerate(submissions):
                if (job := existing[number]) is None:
                    accepted = transitions.accept(submission, now + number * BATCH_STEP_SECONDS)
                    with translate_errors():
                        job = await self._keys.reserve(
                            accepted, submission, reserved, until=patient
                        )
                    new += [number] if job is accepted else []
                jobs.append(job)
            for number in new:
                last = jobs[new[-1]].id
                job = jobs[number].model_copy(
                    update={"batch": None if jobs[number].id == last else last}
                )
                stored.append(await self._store_job(job, submissions[number]))
                jobs[number] = stored[-1][0]
        except OutcomeUnknown:  # the batch may be complete; `sweep` deletes it if it is not
            raise
        except BaseException:
            await self._roll_back(stored, reserved)
            raise
        for job, _ in stored[:-1]:
            with suppress(QueueUnavailable, NotFound):  # `sweep` does it, too
                await self._change(job.id, transitions.complete_batch)
        return jobs

    async def _roll_back(self, stored: list[tuple[Job, int]], reserved: dict[str, int]) -> None:
        """Delete the stored jobs of a batch that failed, and the reservations of their keys."""
        with suppress(QueueUnavailable), translate_errors():  # else `sweep` deletes the jobs
            for job, revision in stored:
                await self._delete(job, revision)
            for name, revision in reserved.items():
                await self._keys.release(name, revision)

    async def _store_job(self, job: Job, submission: Submission) -> tuple[Job, int]:
        """Store a job; it and its revision."""
        with translate_errors():
            await self._entries.store_submission(job.id, submission)
            try:
                job, revision = await self._entries.write(job)
            except KeyWrongLastSequenceError as error:
                raise QueueUnavailable(
                    "queue_failed", reason="this took too long, and was sent again meanwhile"
                ) from error
        self._cache.store(job, revision)
        return job, revision

    def _waiting_count(self, owner: str) -> int:
        return sum(job.owner == owner for job in self._cache.waiting())

    @override
    async def get(self, job_id: str) -> Job:
        with translate_errors():
            job = await self._entries.find(job_id)
        if job is None:
            raise unknown_job(job_id)
        return job

    @override
    async def submission(self, job_id: str) -> Submission:
        with translate_errors():
            return await self._entries.submission(job_id)

    @override
    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        owner: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        found = [
            job
            for _, job in self._cache.jobs()
            if status in (None, job.status) and owner in (None, job.owner)
        ]
        found.sort(key=_creation_order, reverse=True)
        last = self._cache.get(before) if before else None
        if last is not None:
            found = [job for job in found if _creation_order(job) < _creation_order(last)]
        return found[:limit]

    @override
    async def wait_for_change(self, job_id: str, *, seen: int, timeout: float) -> Job:
        await self._cache.wait(job_id, seen=seen, timeout=timeout)
        return await self.get(job_id)

    @override
    async def fragments(self, job_id: str, *, after: int = 0) -> list[FragmentRecord]:
        job = await self.get(job_id)
        found = []
        with translate_errors():
            for number in range(max(after + 1, job.first_fragment), job.next_fragment):
                try:
                    entry = await self._store.fragments.get(f"{job_id}.{job.token}.{number}")
                except KeyNotFoundError:  # the job was deleted, or retried, meanwhile
                    break
                found.append(FragmentRecord.from_json(entry.value or b""))
        return found

    @override
    async def retry(self, job_id: str, *, max_waiting: int | None = None) -> Job:
        now = self.config.clock()

        def transition(job: Job) -> Job:
            if job.queued_at == now:  # this call's change, whose answer was lost
                return job
            after = transitions.retry(job, now)
            transitions.check_waiting_limit(self._waiting_count(job.owner), 1, max_waiting)
            return after

        return await self._change(job_id, transition)

    @override
    async def ahead(self, job_id: str) -> int:
        own = await self.get(job_id)
        is_low = own.policy.low_priority
        by_owner: dict[str, list[Job]] = {own.owner: []}
        before = sum(job.status is JobStatus.IN_PROGRESS for _, job in self._cache.jobs())
        for job in self._cache.waiting():
            if job.policy.low_priority is is_low:
                by_owner.setdefault(job.owner, []).append(job)
            else:
                before += is_low
        same_owner = by_owner.pop(own.owner)
        others = [
            (len(jobs), self._turn(min(jobs, key=_queue_order))) for jobs in by_owner.values()
        ]
        place = sum(_queue_order(job) < _queue_order(own) for job in same_owner)
        return before + transitions.jobs_ahead(
            place, self._turn(min([*same_owner, own], key=_queue_order)), others
        )

    @override
    async def ended_jobs(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        return self._cache.ended_jobs(after=after, limit=limit)

    @override
    async def purge(self, *, owner: str | None = None) -> int:
        waiting = [
            (revision, job)
            for revision, job in self._cache.jobs()
            if job.status is JobStatus.IN_QUEUE and owner in (None, job.owner)
        ]
        with translate_errors():
            return sum([await self._delete(job, revision) for revision, job in waiting])

    @override
    async def counts(self) -> Counts:
        return sum_counts((job.status, 1, job.redeliveries) for _, job in self._cache.jobs())

    @override
    async def workers(self) -> list[WorkerRecord]:
        since = self.config.clock() - self.config.lease_seconds
        with translate_errors():
            entries = await self._store.entries(self._store.workers)
        found = [WorkerRecord.from_json(entry.value or b"") for entry in entries]
        return sorted(
            (worker for worker in found if worker.seen_at >= since), key=lambda worker: worker.id
        )

    @override
    async def announce(self, worker: WorkerRecord) -> None:
        seen = worker.model_copy(update={"seen_at": self.config.clock()})
        with translate_errors():
            await self._store.workers.put(worker.id, seen.to_json().encode())

    @override
    async def leave(self, worker_id: str) -> None:
        with translate_errors():
            await self._store.workers.delete(worker_id)

    @override
    async def sweep(self) -> None:
        await self._expire_leases()
        now = self.config.clock()
        for revision, job in self._cache.jobs():
            if job.batch is not None:
                await self._resolve_batch(job, revision, now)
            if now < transitions.due(job):
                continue
            if job.is_final:
                with translate_errors():
                    await self._delete(job, revision)
            else:
                with suppress(NotFound):
                    await self._change(
                        job.id, lambda job: transitions.expire(job, now, self.config) or job
                    )
        await self._delete_orphans()
        if time.monotonic() >= self._purge_at:
            self._purge_at = time.monotonic() + PURGE_SECONDS
            with translate_errors():
                await self._store.state.purge_deletes(olderthan=round(PURGE_SECONDS))

    async def _delete_orphans(self) -> None:
        """Delete data without a job: its submission failed half-way, or its client died."""
        if time.monotonic() < self._orphans_at:
            return
        self._orphans_at = time.monotonic() + ORPHANS_EVERY_SECONDS
        before = datetime.now(timezone.utc) - timedelta(seconds=ORPHAN_SECONDS)
        with translate_errors():
            await self._entries.delete_orphans(before)
            await self._keys.release_orphans(before)

    async def _resolve_batch(self, job: Job, revision: int, now: float) -> None:
        """Complete or delete a job of a batch whose client died."""
        if self._cache.is_complete(job):
            with suppress(NotFound):
                await self._change(job.id, transitions.complete_batch)
        elif now > job.created_at + INCOMPLETE_SECONDS:
            with translate_errors():
                await self._delete(job, revision)

    @override
    async def _running(self) -> list[Job]:
        running = [job for _, job in self._cache.jobs() if job.status is JobStatus.IN_PROGRESS]
        return sorted(running, key=_creation_order)

    @override
    async def _change(self, job_id: str, transition: Transition, *, durable: bool = True) -> Job:
        while True:
            with translate_errors():
                try:
                    entry = await self._store.state.get(job_id)
                except KeyNotFoundError as error:
                    raise unknown_job(job_id) from error
                job = Job.from_json(entry.value or b"")
                after = transition(job)
                if after is job:
                    self._cache.store(job, entry.revision or 0)
                    return job
                try:
                    stored, revision = await self._entries.write(after, last=entry.revision)
                except KeyWrongLastSequenceError:
                    continue  # another process was faster
                self._cache.store(stored, revision)
                return stored

    @override
    async def _claim_job(self, worker_id: str, wait: float) -> Job | None:
        waiting = self._cache.waiting()
        if not waiting:
            if wait > 0:
                await self._cache.wait_for_work(wait)
            return None
        is_claimed = False

        def transition(job: Job) -> Job:
            nonlocal is_claimed
            now, turn = self.config.clock(), self._cache.next_turn()
            after = transitions.claim(job, worker_id, now, self.config, turn=turn)
            is_claimed = after is not job and after.status is JobStatus.IN_PROGRESS
            return after

        first = min(waiting, key=lambda job: (job.policy.low_priority, *self._turn(job)))
        try:
            job = await self._change(first.id, transition)
        except NotFound:
            self._cache.drop(first.id)
            return None
        return job if is_claimed else None

    def _turn(self, job: Job) -> transitions.Turn:
        """The turn of a job that is its owner's first."""
        return (self._cache.turn(job.owner), *_queue_order(job))

    @override
    async def _store_fragment(self, job: Job, output: Mapping[str, Any]) -> None:
        fragment = FragmentRecord(number=job.next_fragment, output=dict(output))
        with translate_errors():
            await self._store.fragments.put(
                f"{job.id}.{job.token}.{job.next_fragment}", fragment.to_json().encode()
            )

    async def _delete(self, job: Job, revision: int) -> bool:
        """Delete a job and all its data, unless it has changed; whether it was deleted.

        The job is ended first and goes last, so that `sweep` deletes what a failure leaves.
        """
        if not job.is_final:
            purged = transitions.purge(job, self.config.clock())
            try:
                job, revision = await self._entries.write(purged, last=revision)
            except KeyWrongLastSequenceError:
                return False
            self._cache.store(job, revision)
        await self._entries.delete_data(job.id)
        await self._keys.release_of(job)
        try:
            await self._store.state.delete(job.id, last=revision)
        except APIError as error:
            if error.err_code not in WRONG_SEQUENCE:
                raise
            return False
        self._cache.drop(job.id)
        return True


def _queue_order(job: Job) -> tuple[float, str]:
    """Sort key: an owner's jobs are claimed in this order."""
    return job.queued_at, job.id


def _creation_order(job: Job) -> tuple[float, str]:
    return job.created_at, job.id
