"""Jobs on a NATS server: their entries and what belongs to them.

Errors of the NATS client pass through: callers translate them
(`jetstream_store.translate_errors`).
"""

import asyncio
from contextlib import suppress
from datetime import datetime

from nats.js.api import Header
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KV_DEL, KV_OP, KeyValue

from multitalk.errors import Conflict, QueueUnavailable
from multitalk.serving.queue.base import OutcomeUnknown, unknown_job
from multitalk.serving.queue.jetstream_store import (
    WRONG_SEQUENCE,
    JetStreamMedia,
    Store,
    translate_errors,
)
from multitalk.serving.queue.records import Job, Submission

FENCE = b"fenced"  # content of a delete marker
INLINE_BYTES = 256 * 2**10  # a larger submission is an object


class JobEntries:
    """Reads and writes jobs and what belongs to them."""

    def __init__(self, store: Store, media: JetStreamMedia) -> None:
        self._store, self._media = store, media

    async def find(self, job_id: str) -> Job | None:
        """A job by its id; None if there is none."""
        entry = await self._entry(job_id)
        return Job.from_json(entry.value or b"") if entry is not None else None

    async def _entry(self, job_id: str) -> KeyValue.Entry | None:
        with suppress(KeyNotFoundError):
            return await self._store.state.get(job_id)
        return None

    async def write(self, job: Job, *, last: int | None = None) -> tuple[Job, int]:
        """Store a job over its last revision (None: create it); the stored job and its revision.

        A write that is not answered is tried once more: the second answer tells about both.

        Raises:
            KeyWrongLastSequenceError: Another process has written.
            OutcomeUnknown: The server did not answer; the job may be stored.
        """
        content = job.to_json().encode()
        with suppress(asyncio.TimeoutError):
            return job, await self._write_once(job.id, content, last)
        try:
            with translate_errors():
                try:
                    return job, await self._write_once(job.id, content, last)
                except KeyWrongLastSequenceError:
                    entry = await self._entry(job.id)
        except QueueUnavailable as error:
            raise OutcomeUnknown("queue_silent") from error
        if entry is None:  # deleted meanwhile, or fenced
            raise KeyWrongLastSequenceError
        stored = Job.from_json(entry.value or b"")
        # A created job may have been claimed since.
        is_own = entry.value == content or (last is None and stored.created_at == job.created_at)
        if not is_own:
            raise KeyWrongLastSequenceError
        return stored, entry.revision or 0

    async def _write_once(self, job_id: str, content: bytes, last: int | None) -> int:
        if last is None:
            with suppress(KeyWrongLastSequenceError):
                return await self._store.state.update(job_id, content, last=0)
            last = await self._free_revision(job_id)
        return await self._store.state.update(job_id, content, last=last)

    async def _free_revision(self, job_id: str) -> int:
        """The revision over which a new job can be stored: that of a delete marker; 0: none.

        Raises:
            KeyWrongLastSequenceError: The job is stored, or fenced.
        """
        try:
            await self._store.state.get(job_id)
        except KeyNotFoundError as missing:
            if missing.entry is None:
                return 0
            if missing.entry.value != FENCE:
                return missing.entry.revision or 0
        raise KeyWrongLastSequenceError

    async def fence(self, job_id: str) -> bool:
        """Make sure that a job which is not stored is never stored; False: it is stored.

        The fence is a delete marker, which is removed some minutes later.
        """
        try:
            await self._store.state.get(job_id)
        except KeyNotFoundError as missing:
            last = missing.entry.revision if missing.entry else 0
        else:
            return False
        headers = {KV_OP: KV_DEL, Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(last)}
        try:
            await self._store.stream.publish(
                f"$KV.multitalk-state.{job_id}", FENCE, headers=headers
            )
        except APIError as error:
            if error.err_code not in WRONG_SEQUENCE:
                raise
            return False
        return True

    async def store_submission(self, job_id: str, submission: Submission) -> None:
        """Store a submission, before its job.

        Raises:
            Conflict: The job's id has a submission.
        """
        try:
            content = await self._encode_submission(job_id, submission)
            await self._store.submissions.create(job_id, content)
        except KeyWrongLastSequenceError as error:
            raise Conflict("job_key_reused") from error

    async def _encode_submission(self, job_id: str, submission: Submission) -> bytes:
        """A submission as JSON, or the name of the object that has it."""
        content = submission.to_json().encode()
        if len(content) <= INLINE_BYTES:
            return content
        return (await self._media.put(content, job_id=job_id, suffix=".json")).encode()

    async def submission(self, job_id: str) -> Submission:
        """A job as it was submitted.

        Raises:
            NotFound: No such job.
        """
        try:
            found = (await self._store.submissions.get(job_id)).value or b""
        except KeyNotFoundError as error:
            raise unknown_job(job_id) from error
        if not found.startswith(b"{"):
            name = found.decode()
            found = b"".join([chunk async for chunk in self._media.read(name)])
        return Submission.from_json(found)

    async def delete_data(self, job_id: str) -> None:
        """Delete what belongs to a job: submission, fragments and files."""
        await self._store.purge("submissions", job_id)
        await self._store.purge("pieces", f"{job_id}.>")
        await self._media.remove_job(job_id)

    async def delete_orphans(self, before: datetime) -> None:
        """Delete data that are older than a moment and whose job is not stored."""
        buckets = (self._store.submissions, self._store.fragments, self._store.files)
        found = [await self._store.entries(bucket, before, names_only=True) for bucket in buckets]
        for job_id in {entry.key.partition(".")[0] for entries in found for entry in entries}:
            if await self.find(job_id) is None:
                await self.delete_data(job_id)
