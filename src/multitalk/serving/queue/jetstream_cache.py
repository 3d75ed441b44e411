"""The jobs of a NATS server in memory, kept up to date by following their bucket."""

import asyncio
import itertools
import time
from contextlib import suppress

from nats.errors import Error
from nats.js.kv import KV_DEL, KV_PURGE, KeyValue

from multitalk.net.deadline import within
from multitalk.net.retry import backoff, retry_async
from multitalk.schema import JobStatus
from multitalk.serving.queue.jetstream_store import ANSWER_SECONDS, SETUP_SECONDS
from multitalk.serving.queue.records import Job


class JobCache:
    """Jobs by id. This process's writes show immediately, others' within milliseconds."""

    def __init__(self, bucket: KeyValue, reconnected: asyncio.Event) -> None:
        self._bucket = bucket
        self._reconnected = reconnected
        self._jobs: dict[str, tuple[int, Job]] = {}
        self._waiting: dict[str, Job] = {}
        self._ends: dict[int, str] = {}  # ids in the observed order of their end, by number
        self._turns: dict[str, int] = {}  # by owner: number of the last claim
        self._changed = asyncio.Event()
        self._work = asyncio.Event()
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read all jobs, then follow changes."""
        await self._read_all()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following changes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            await self._watcher.stop()

    def store(self, job: Job, revision: int) -> None:
        """Store a job that was written, unless a newer revision is known."""
        known = self._jobs.get(job.id)
        if known is not None and known[0] >= revision:
            return
        self._jobs[job.id] = revision, job
        self._turns[job.owner] = max(job.turn, self._turns.get(job.owner, 0))
        if job.status is JobStatus.IN_QUEUE:
            self._waiting[job.id] = job
            self._work.set()
            self._work = asyncio.Event()
        else:
            self._waiting.pop(job.id, None)
        if job.is_final and not (known and known[1].is_final):
            self._ends[next(self._numbers)] = job.id
        self._notify()

    def drop(self, job_id: str) -> None:
        """Remove a job that was deleted."""
        self._jobs.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._notify()

    def jobs(self) -> list[tuple[int, Job]]:
        """All jobs as (revision, job), unordered."""
        return list(self._jobs.values())

    def get(self, job_id: str) -> Job | None:
        """A job, or None."""
        known = self._jobs.get(job_id)
        return known[1] if known else None

    def waiting(self) -> list[Job]:
        """Jobs that may be claimed, unordered."""
        return [job for job in self._waiting.values() if self.is_complete(job)]

    def is_complete(self, job: Job) -> bool:
        """Whether a job's batch is stored completely."""
        return job.batch is None or job.batch in self._jobs

    def turn(self, owner: str) -> int:
        """Number of an owner's last claim; 0: none known."""
        return self._turns.get(owner, 0)

    def next_turn(self) -> int:
        """Number of the next claim."""
        return max(self._turns.values(), default=0) + 1

    def ended_jobs(self, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Ended jobs, as `JobQueue.ended_jobs`."""
        deleted = [number for number, job_id in self._ends.items() if job_id not in self._jobs]
        for number in deleted:
            del self._ends[number]
        found = ((number, job_id) for number, job_id in self._ends.items() if number > after)
        return list(itertools.islice(found, limit))

    async def wait_for_work(self, seconds: float) -> None:
        """Wait until another job is IN_QUEUE, for at most some seconds."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._work.wait(), seconds)

    async def wait(self, job_id: str, *, seen: int, timeout: float) -> None:
        """Wait until a job's version is above `seen`, or it is deleted."""
        ends = time.monotonic() + timeout
        while (job := self.get(job_id)) is not None and job.version <= seen:
            left = ends - time.monotonic()
            if left <= 0:
                return
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def _read_all(self) -> None:
        """Start a watch; its first entries are the current state of all jobs."""
        known = set(self._jobs)
        self._reconnected.clear()
        self._watcher = await self._bucket.watchall()
        async for entry in self._watcher:
            if entry is None:
                break
            known.discard(entry.key)
            self._apply(entry)
        for job_id in known:  # deleted while there was no connection
            self.drop(job_id)

    async def _follow(self) -> None:
        """Apply changes. After a reconnection read all: a watch resumes many seconds later."""
        while True:
            tasks = [
                asyncio.ensure_future(self._apply_changes()),
                asyncio.ensure_future(self._reconnected.wait()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(Error):
                await self._watcher.stop()
            await retry_async(
                lambda: within(SETUP_SECONDS, self._read_all()),
                on=(Error, OSError, asyncio.TimeoutError),
                delays=backoff(0.1, ANSWER_SECONDS),
            )

    async def _apply_changes(self) -> None:
        async for entry in self._watcher:
            if entry is not None:
                self._apply(entry)

    def _apply(self, entry: KeyValue.Entry) -> None:
        if entry.operation in (KV_DEL, KV_PURGE):
            self.drop(entry.key)
        elif entry.value:
            self.store(Job.from_json(entry.value), entry.revision or 0)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
