"""All jobs of a NATS server as they stand, kept up to date as they change."""

import asyncio
import contextlib
import itertools
import time

from nats.js.kv import KV_DEL, KV_PURGE, KeyValue

from multitalk.schema import JobStatus
from multitalk.serving.queue.records import Job


class JobCache:
    """Jobs by id; what is written here is seen at once, what others write within milliseconds."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._jobs: dict[str, tuple[int, Job]] = {}
        self._waiting: dict[str, Job] = {}
        self._ends: dict[int, str] = {}  # jobs in the order in which they were seen to end
        self._turns: dict[str, int] = {}  # number of each owner's last claim
        self._beat = asyncio.Event()
        self._work = asyncio.Event()
        self._numbers = itertools.count(1)
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
        self._wake()

    def drop(self, job_id: str) -> None:
        """A job was removed."""
        self._jobs.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._wake()

    def jobs(self) -> list[tuple[int, Job]]:
        """Every job with its revision, in no order."""
        return list(self._jobs.values())

    def get(self, job_id: str) -> Job | None:
        """A job, if it is known."""
        known = self._jobs.get(job_id)
        return known[1] if known else None

    def waiting(self) -> list[Job]:
        """Jobs that workers may take, in no order."""
        return [job for job in self._waiting.values() if self.is_whole(job)]

    def is_whole(self, job: Job) -> bool:
        """Whether the batch that a job belongs to is stored as a whole."""
        return job.batch is None or job.batch in self._jobs

    def turn(self, owner: str) -> int:
        """Number of an owner's last claim; 0 where none is known."""
        return self._turns.get(owner, 0)

    def next_turn(self) -> int:
        """Number of the next claim."""
        return max(self._turns.values(), default=0) + 1

    def ended(self, *, after: int, limit: int) -> list[tuple[int, str]]:
        """As `JobQueue.ended`."""
        gone = [number for number, job_id in self._ends.items() if job_id not in self._jobs]
        for number in gone:
            del self._ends[number]
        found = ((number, job_id) for number, job_id in self._ends.items() if number > after)
        return list(itertools.islice(found, limit))

    async def wait_for_work(self, seconds: float) -> None:
        """Wait until another job waits for a worker, for so long at most."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._work.wait(), seconds)

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
            self.note(Job.from_json(entry.value), entry.revision or 0)

    def _wake(self) -> None:
        self._beat.set()
        self._beat = asyncio.Event()
