"""Where a worker's jobs come from, and the client of it for the threads that do the work."""

import asyncio
import base64
import itertools
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from multitalk.errors import Cancelled, NotFound, QueueUnavailable
from multitalk.media.fragments import Fragment
from multitalk.net.retry import backoff, retry_async
from multitalk.schema.validation import brief
from multitalk.serving.queue import JobQueue, Lease, Outcome, Stop, WorkerRecord
from multitalk.serving.queue.records import JOB_ID, WINDOWS_SUFFIX, windows_of
from multitalk.timebase import FPS

# As base64, with its record beside it, below the 1 MB that RunPod takes for a part of a stream.
MAX_FRAGMENT_BYTES = 720_000
WAKE_SECONDS = 0.2  # how soon a waiting thread notices that the job was cancelled
FULL_SECONDS = 60.0  # for which a full store is tried again: the work has cost minutes
PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


class JobSource(Protocol):
    """The part of a `JobQueue` that its worker uses; its methods are described there.

    They raise QueueUnavailable where another try may succeed; nothing was changed then, except
    after OutcomeUnknown.
    """

    async def claim(self, worker_id: str, *, wait: float) -> Lease | None:
        """The next job. Cancelling the call loses none: it is returned, or goes back."""

    async def renew(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Stop | None:
        """Keep the job; why the work must stop, or None."""

    async def add_fragment(self, lease: Lease, output: Mapping[str, Any]) -> bool:
        """Send a part of the video, or the record after the last; False if the lease is lost."""

    async def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """Send the job's end; False if the lease is lost."""

    async def release(self, lease: Lease, *, counted: bool = False) -> None:
        """Release the job unfinished, if the source takes it back."""

    async def announce(self, worker: WorkerRecord) -> None:
        """Say that the worker is there."""

    async def leave(self, worker_id: str) -> None:
        """Say that the worker takes no further job.

        Called before `finish`, it also asks for a replacement worker.
        """

    async def sweep(self) -> None:
        """Expire leases and jobs."""


@dataclass(frozen=True)
class SourceTraits:
    """The differences of a source from others.

    Attributes:
        queue: Stores the files of its jobs; None: videos are delivered as requests ask, or sent in
            parts.
        progress_seconds: Progress is sent at most so often.
        renew_seconds: A lease is renewed, and a stop noticed, so often.
        max_retry_seconds: Longest pause between two tries of `finish` and `release`.
        takes_back: A job can be released, to be done by another worker.
        is_freed_by_exit: A job whose result was not taken is given to another worker only when
            this one has ended.
    """

    queue: JobQueue | None = None
    progress_seconds: float = 0.25
    renew_seconds: float = 0.5
    max_retry_seconds: float = 1.0
    takes_back: bool = True
    is_freed_by_exit: bool = False


class SourceClient:
    """Thread-safe blocking client of a job's source, made in the event loop's thread.

    Its methods raise Cancelled as soon as the job was taken back.

    Args:
        source: Of the job.
        queue: Stores the job's files; None if the source stores none.
        lease: The job's.
        cancelled: Set when the job is taken back.
        full_seconds: How long storing is tried while the store is full.
    """

    def __init__(
        self,
        source: JobSource,
        queue: JobQueue | None,
        lease: Lease,
        cancelled: threading.Event,
        *,
        full_seconds: float = FULL_SECONDS,
    ) -> None:
        self._source = source
        self._queue = queue
        self._lease = lease
        self._cancelled = cancelled
        self._full_seconds = full_seconds
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._sending: Future[None] | None = None

    @property
    def has_media(self) -> bool:
        """Whether the source stores files."""
        return self._queue is not None

    def put(self, path: Path) -> str:
        """Store a file, which must not change any more; its name there."""
        media, job_id = self._store.media, self._lease.job.id
        return self._call(
            self._while_full(lambda: media.put(path, job_id=job_id, suffix=path.suffix))
        )

    def fetch(self, name: str, directory: Path) -> Path:
        """A file of the job, in a directory; NotFound if there is none, or it is another job's."""
        # Only the file name is used, so a path into another job's files finds nothing.
        file = name.rpartition("/")[2]
        target = directory / f"upload-{secrets.token_hex(4)}-{file}"  # it may be fetched twice
        self._call(self._store.media.fetch(f"{self._lease.job.id}/{file}", target))
        return target

    def fetch_windows(self, job_id: str, directory: Path) -> Path:
        """Windows of an earlier job of the owner, in a directory; NotFound if there are none."""
        gone = NotFound("earlier_job_gone", field="continue_from.job", value=brief(job_id))
        if not re.fullmatch(JOB_ID, job_id):
            raise gone
        target = directory / f"earlier{WINDOWS_SUFFIX}"
        try:
            earlier = self._call(self._store.get(job_id))
            if earlier.owner != self._lease.submission.owner or not windows_of(earlier):
                raise gone
            self._call(self._store.media.fetch(earlier.output["windows"], target))
        except NotFound as error:  # the store's own sentence is about uploads
            raise gone from error
        return target

    def send_fragment(self, fragment: Fragment) -> None:
        """Send a fragment once the one before has been sent, and do not wait for it."""
        for part in fragment.split(MAX_FRAGMENT_BYTES):
            self.wait_until_sent()
            self._sending = asyncio.run_coroutine_threadsafe(
                self._send(part, next(self._numbers)), self._loop
            )

    def send_record(self, record: Mapping[str, Any]) -> None:
        """Send what follows the last fragment."""
        self.wait_until_sent()
        self._call(self._source.add_fragment(self._lease, record))

    def wait_until_sent(self) -> None:
        """Wait for the last fragment; errors of sending it are raised here."""
        sending, self._sending = self._sending, None
        if sending is not None:
            self._wait(sending)

    def close(self) -> None:
        """Drop a fragment that is being sent: the job has failed."""
        if self._sending is not None:
            self._sending.cancel()

    @property
    def _store(self) -> JobQueue:
        if self._queue is None:
            raise ValueError("this source stores no files")
        return self._queue

    async def _send(self, part: Fragment, number: int) -> None:
        place = {"segment": number, "start": part.first / FPS, "frames": part.num_frames}

        async def add() -> bool:
            if self._queue is None:
                video = {"video_base64": base64.b64encode(part.content).decode("ascii")}
            else:
                job_id = self._lease.job.id
                name = await self._queue.media.put(part.content, job_id=job_id, suffix=".mp4")
                video = {"video": name}
            return await self._source.add_fragment(self._lease, {**place, **video})

        if not await self._while_full(add):
            raise Cancelled

    async def _while_full(self, store: Callable[[], Awaitable[Result]]) -> Result:
        """Store something, again and again while the store is full: nothing was changed then."""

        def check(error: QueueUnavailable, _: float) -> None:
            if error.key != "queue_full":
                raise error

        return await retry_async(
            store,
            on=QueueUnavailable,
            delays=backoff(PAUSE_SECONDS, PAUSE_SECONDS, seconds=self._full_seconds),
            on_retry=check,
        )

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self._wait(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def _wait(self, future: "Future[Result]") -> Result:
        while True:
            try:
                return future.result(WAKE_SECONDS)
            except NotYet:
                if future.done():  # the source's own TimeoutError
                    raise
                if self._cancelled.is_set():
                    future.cancel()
                    raise Cancelled from None
