"""A `JobQueue`, of either kind, as the source of a worker's jobs."""

import re
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from typing_extensions import override

from multitalk.errors import Cancelled, NotFound, QueueUnavailable
from multitalk.job import Progress
from multitalk.media.fragments import Fragment
from multitalk.net.retry import retry_async
from multitalk.schema.validation import brief
from multitalk.serving.queue import JobQueue, Outcome, Stop, WorkerRecord
from multitalk.serving.queue.records import JOB_ID, WINDOWS_SUFFIX, windows_of
from multitalk.serving.worker.source import Assignment, JobMedia, JobSource, WorkerStatus
from multitalk.timebase import FPS

CLAIM_SECONDS = 5.0
FULL_SECONDS = 60.0  # for which a full store is tried again: the work has cost minutes
PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


class QueueSource(JobSource):
    """The jobs of a queue.

    Args:
        queue: Open.
        worker_id: The worker's own, new at each start.
        full_seconds: How long storing a file is tried while the queue's store is full.
    """

    progress_seconds = 0.25
    renew_seconds = 0.5
    max_retry_seconds = 1.0
    takes_back = True
    is_freed_by_exit = False
    media: JobMedia

    def __init__(
        self, queue: JobQueue, worker_id: str, *, full_seconds: float = FULL_SECONDS
    ) -> None:
        self.media = QueueMedia(queue, full_seconds)
        self._queue = queue
        self._worker_id = worker_id
        self._full_seconds = full_seconds
        self._started_at = time.time()

    @override
    async def claim(self) -> Assignment | None:
        lease = await self._queue.claim(self._worker_id, wait=CLAIM_SECONDS)
        if lease is None:
            return None
        submission = lease.submission
        return Assignment(
            job_id=lease.job.id,
            input=submission.input,
            s3_config=submission.s3_config,
            is_streamed=submission.stream,
            execution_seconds=submission.policy.execution_seconds,
            attempts=lease.job.attempts,
            lease_seconds=lease.seconds,
            lease=lease,
        )

    @override
    async def renew(self, assignment: Assignment, progress: Progress | None) -> Stop | None:
        shown = None if progress is None else asdict(progress)
        return await self._queue.renew(assignment.lease, shown)

    @override
    async def add_fragment(self, assignment: Assignment, fragment: Fragment, number: int) -> None:
        place = {"segment": number, "start": fragment.first / FPS, "frames": fragment.num_frames}

        async def add() -> bool:
            name = await self._queue.media.put(
                fragment.content, job_id=assignment.job_id, suffix=".mp4"
            )
            return await self._queue.add_piece(assignment.lease, {**place, "video": name})

        if not await _while_full(add, self._full_seconds):
            raise Cancelled

    @override
    async def finish(self, assignment: Assignment, outcome: Outcome, *, is_ending: bool) -> bool:
        return await self._queue.finish(assignment.lease, outcome)

    @override
    async def release(self, assignment: Assignment, *, counted: bool) -> None:
        await self._queue.release(assignment.lease, counted=counted)

    @override
    async def announce(self, status: WorkerStatus) -> None:
        await self._queue.announce(
            WorkerRecord(
                id=self._worker_id,
                engine=status.engine,
                host=socket.gethostname(),
                started_at=self._started_at,
                job_id=status.job_id,
                draining=status.is_draining,
            )
        )
        await self._queue.sweep()

    @override
    async def leave(self) -> None:
        await self._queue.leave(self._worker_id)


class QueueMedia(JobMedia):
    """The queue's media store."""

    def __init__(self, queue: JobQueue, full_seconds: float) -> None:
        self._queue = queue
        self._full_seconds = full_seconds

    @property
    @override
    def directory(self) -> Path | None:
        return self._queue.media.directory

    @override
    async def put(self, assignment: Assignment, path: Path) -> str:
        return await _while_full(
            lambda: self._queue.media.put(path, job_id=assignment.job_id, suffix=path.suffix),
            self._full_seconds,
        )

    @override
    async def fetch(self, assignment: Assignment, name: str, directory: Path) -> Path:
        # Another job's file is looked for among this job's, where it is not found.
        file = name.rpartition("/")[2]
        target = directory / f"upload-{secrets.token_hex(4)}-{file}"  # it may be fetched twice
        await self._queue.media.fetch(f"{assignment.job_id}/{file}", target)
        return target

    @override
    async def fetch_windows(self, assignment: Assignment, job_id: str, directory: Path) -> Path:
        gone = NotFound("earlier_job_gone", field="continue_from.job", value=brief(job_id))
        if not re.fullmatch(JOB_ID, job_id):
            raise gone
        try:
            earlier = await self._queue.get(job_id)
            if earlier.owner != assignment.lease.submission.owner or not windows_of(earlier):
                raise gone
            target = directory / f"earlier{WINDOWS_SUFFIX}"
            await self._queue.media.fetch(earlier.output["windows"], target)
            return target
        except NotFound as error:  # the store's own sentence is about uploads
            raise gone from error


async def _while_full(store: Callable[[], Awaitable[Result]], seconds: float) -> Result:
    """Store something, again and again while the store is full: nothing was changed then."""

    def check(error: QueueUnavailable, _: float) -> None:
        if error.key != "queue_full":
            raise error

    return await retry_async(store, on=QueueUnavailable, delays=_pauses(seconds), on_retry=check)


def _pauses(seconds: float) -> Iterator[float]:
    ends = time.monotonic() + seconds
    while time.monotonic() <= ends:
        yield PAUSE_SECONDS
