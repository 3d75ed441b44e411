"""All jobs of a NATS server as they stand, kept up to date as they change."""

import asyncio
import contextlib
import time

from nats.js.kv import KV_DEL, KV_PURGE, KeyValue

from multitalk.serving.queue.records import Job


class Mirror:
    """Jobs by id; what is written here is seen at once, what others write within milliseconds."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._jobs: dict[str, tuple[int, Job]] = {}
        self._beat = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn what there is, then follow it."""
        self._watcher = await self._bucket.watchall()
        async for entry in self._watcher:
            if entry is None:
                break
            self._learn(entry)
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            await self._watcher.stop()

    def note(self, job: Job, revision: int) -> None:
        """A job was written."""
        known = self._jobs.get(job.id)
        if known is None or known[0] < revision:
            self._jobs[job.id] = revision, job
            self._wake()

    def drop(self, job_id: str) -> None:
        """A job was removed."""
        self._jobs.pop(job_id, None)
        self._wake()

    def jobs(self) -> list[tuple[int, Job]]:
        """Every job with its revision, in no order."""
        return list(self._jobs.values())

    def get(self, job_id: str) -> Job | None:
        """A job, if it is known."""
        known = self._jobs.get(job_id)
        return known[1] if known else None

    async def wait(self, job_id: str, *, seen: int, timeout: float) -> None:
        """Wait until a job's version is above `seen`, or it is gone."""
        ends = time.monotonic() + timeout
        while (job := self.get(job_id)) is not None and job.version <= seen:
            left = ends - time.monotonic()
            if left <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._beat.wait(), left)

    async def _follow(self) -> None:
        async for entry in self._watcher:
            if entry is not None:
                self._learn(entry)

    def _learn(self, entry: KeyValue.Entry) -> None:
        if entry.operation in (KV_DEL, KV_PURGE):
            self.drop(entry.key)
        elif entry.value:
            self.note(Job.of_text(entry.value), entry.revision or 0)

    def _wake(self) -> None:
        self._beat.set()
        self._beat = asyncio.Event()
