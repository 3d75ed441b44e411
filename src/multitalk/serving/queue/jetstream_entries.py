"""Jobs on a NATS server: their entries, submissions and idempotency keys.

Errors of the NATS client pass through: callers translate them
(`jetstream_store.translate_errors`).
"""

import asyncio
import hashlib
from contextlib import suppress

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from multitalk.errors import Conflict, QueueUnavailable
from multitalk.serving.queue import transitions
from multitalk.serving.queue.base import OutcomeUnknown, unknown_job
from multitalk.serving.queue.jetstream_store import JetStreamMedia, Store, translate_errors
from multitalk.serving.queue.records import Job, Submission

INLINE_BYTES = 256 * 2**10  # a larger submission is an object


class JobEntries:
    """Reads and writes jobs and what belongs to them."""

    def __init__(self, store: Store, media: JetStreamMedia) -> None:
        self._store, self._media = store, media

    async def find(self, job_id: str) -> Job | None:
        """A job by its id; None if there is none."""
        try:
            entry = await self._store.state.get(job_id)
        except KeyNotFoundError:
            return None
        return Job.from_json(entry.value or b"")

    async def find_submitted(self, submission: Submission) -> Job | None:
        """The job with the submission's idempotency key."""
        if submission.idempotency_key is None:
            return None
        try:
            entry = await self._store.keys.get(_key(submission))
        except KeyNotFoundError:
            return None
        job = await self.find((entry.value or b"").decode())
        return job and transitions.check_same_request(job, submission)

    async def with_reserved_id(self, job: Job, reserved: dict[str, int]) -> Job:
        """A new job with the id that is stored for its idempotency key.

        Args:
            job: With an id of its own.
            reserved: Gets the key's revision where the job's own id was stored.
        """
        if job.idempotency_key is None:
            return job
        key, keys = _key(job), self._store.keys
        while True:
            with suppress(KeyWrongLastSequenceError):
                reserved[key] = await keys.create(key, job.id.encode())
                return job
            with suppress(KeyWrongLastSequenceError, KeyNotFoundError):  # both: look again
                entry = await keys.get(key)
                stored = entry.value or b""
                # Its new revision keeps whoever reserved it from deleting it.
                await keys.update(key, stored, last=entry.revision)
                return job.model_copy(update={"id": stored.decode()})

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
                    entry = await self._store.state.get(job.id)
        except QueueUnavailable as error:
            raise OutcomeUnknown("queue_silent") from error
        stored = Job.from_json(entry.value or b"")
        # A created job may have been claimed since.
        is_own = entry.value == content or (last is None and stored.created_at == job.created_at)
        if not is_own:
            raise KeyWrongLastSequenceError
        return stored, entry.revision or 0

    async def _write_once(self, job_id: str, content: bytes, last: int | None) -> int:
        if last is None:
            return await self._store.state.create(job_id, content)
        return await self._store.state.update(job_id, content, last=last)

    async def store_submission(self, job: Job, submission: Submission) -> None:
        """Store a submission, unless the same one is stored already.

        Raises:
            Conflict: Another one is stored.
        """
        try:
            content = await self._encode_submission(job.id, submission)
            await self._store.submissions.create(job.id, content)
        except KeyWrongLastSequenceError as error:
            if (await self.submission(job.id)).fingerprint() != job.fingerprint:
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

    async def delete_data(self, job: Job) -> None:
        """Delete what belongs to a job: submission, fragments, idempotency key and files."""
        await self._store.purge("submissions", job.id)
        await self._store.purge("pieces", f"{job.id}.>")
        if job.idempotency_key is not None:
            await self._store.purge("keys", _key(job))
        await self._media.remove_job(job.id)


def _key(job: Job | Submission) -> str:
    """A bucket's key for an idempotency key, which may be any text."""
    text = f"{job.owner}\0{job.idempotency_key}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
