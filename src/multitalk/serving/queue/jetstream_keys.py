"""Idempotency keys on a NATS server: which job has which key.

A key's entry is a job's id, which is stored before the job. If the job never follows, because its
client died or the server was silent, the next submission with the key replaces the id by its own.
First it makes sure that the job cannot be stored any more (`JobEntries.fence`).

Errors of the NATS client pass through: callers translate them
(`jetstream_store.translate_errors`).
"""

import asyncio
import hashlib
import time
from contextlib import suppress
from datetime import datetime

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from multitalk.serving.queue import transitions
from multitalk.serving.queue.jetstream_entries import JobEntries
from multitalk.serving.queue.jetstream_store import Store
from multitalk.serving.queue.records import Job, Submission

# How long another submission with the same key may take to store its job, once it was seen
PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.05


class IdempotencyKeys:
    """Finds, stores and deletes idempotency keys."""

    def __init__(self, store: Store, entries: JobEntries) -> None:
        self._store, self._entries = store, entries

    async def find(self, submission: Submission) -> Job | None:
        """The job with the submission's key; None where there is none yet.

        Raises:
            Conflict: It is the key of another request.
        """
        if submission.idempotency_key is None:
            return None
        try:
            entry = await self._store.keys.get(_name(submission))
        except KeyNotFoundError:
            return None
        job = await self._entries.find((entry.value or b"").decode())
        if job is None or not await self._is_accepted(job):
            return None
        return transitions.check_same_request(job, submission)

    async def reserve(
        self, job: Job, submission: Submission, reserved: dict[str, int], *, until: float
    ) -> Job:
        """Store a new job's id for its key, before the job.

        Args:
            job: Accepted from the submission.
            submission: As sent.
            reserved: Gets the key's name and revision.
            until: How long to wait for another submission's job, `time.monotonic` seconds.

        Returns:
            The job, or the one that another submission has stored with the key meanwhile.

        Raises:
            Conflict: That was another request.
        """
        if job.idempotency_key is None:
            return job
        name, keys = _name(job), self._store.keys
        while True:
            with suppress(KeyWrongLastSequenceError):
                reserved[name] = await keys.create(name, job.id.encode())
                return job
            if (stored := await self.find(submission)) is not None:
                return stored
            if time.monotonic() < until:
                await asyncio.sleep(POLL_SECONDS)
                continue
            with suppress(KeyNotFoundError, KeyWrongLastSequenceError):  # both: look again
                entry = await keys.get(name)
                if await self._abandon((entry.value or b"").decode()):
                    reserved[name] = await keys.update(name, job.id.encode(), last=entry.revision)
                    return job

    async def release(self, name: str, revision: int) -> None:
        """Delete a key, unless another submission has it now."""
        await self._store.purge("keys", name, before=revision + 1)

    async def release_of(self, job: Job) -> None:
        """Delete a job's key, unless another job has it now."""
        if job.idempotency_key is None:
            return
        with suppress(KeyNotFoundError):
            entry = await self._store.keys.get(_name(job))
            if entry.value == job.id.encode():
                await self.release(entry.key, entry.revision or 0)

    async def release_orphans(self, before: datetime) -> None:
        """Delete keys that are older than a moment and whose job is not stored."""
        for entry in await self._store.entries(self._store.keys, before):
            if await self._entries.find((entry.value or b"").decode()) is None:
                await self.release(entry.key, entry.revision or 0)

    async def _is_accepted(self, job: Job) -> bool:
        """Whether a stored job counts: not where its batch is incomplete or it is being deleted."""
        if job.is_forgotten:
            return False
        return job.batch is None or await self._entries.find(job.batch) is not None

    async def _abandon(self, job_id: str) -> bool:
        """Make sure that a job which was not accepted never is; False: it was, meanwhile."""
        job = await self._entries.find(job_id)
        if job is not None and job.is_forgotten:
            return True
        if job is not None and job.batch is None:
            return False
        return await self._entries.fence(job_id if job is None else job.batch or job_id)


def _name(job: Job | Submission) -> str:
    """The entry's name for a key, which may be any text."""
    text = f"{job.owner}\0{job.idempotency_key}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
