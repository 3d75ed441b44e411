"""Where a worker's jobs come from, and where it reports what became of them."""

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from multitalk.errors import Cancelled
from multitalk.job import Progress
from multitalk.media.fragments import Fragment
from multitalk.serving.queue.records import Outcome, Stop

# As base64, with its record beside it, below the 1 MB that RunPod takes for a part of a stream.
MAX_FRAGMENT_BYTES = 720_000
WAKE_SECONDS = 0.2  # how soon a waiting thread notices that the job was cancelled

Result = TypeVar("Result")


@dataclass(frozen=True)
class Assignment:
    """A job that a worker was given.

    Attributes:
        job_id: Its name.
        input: What `parse_request` reads.
        s3_config: The job's own bucket, as `parse_s3_config` reads it.
        is_streamed: Whether fragments are wanted while the video is encoded.
        execution_seconds: Limit for this attempt; None: only the operator's.
        attempts: How many workers were given it since it was queued, this one included.
        lease_seconds: The job is given to another worker if its source is not reached for so long.
        lease: The source's own record of it.
    """

    job_id: str
    input: Any
    s3_config: Any
    is_streamed: bool
    execution_seconds: float | None
    attempts: int
    lease_seconds: float
    lease: Any


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker does.

    Attributes:
        engine: It renders with.
        job_id: Its current job.
        is_draining: It takes no further job.
    """

    engine: str
    job_id: str | None
    is_draining: bool


class JobMedia(Protocol):
    """Files of jobs, in a source that stores them."""

    @property
    def directory(self) -> Path | None:
        """Where they are, if that is on this machine."""

    async def put(self, assignment: Assignment, path: Path) -> str:
        """Store a file, which must not change any more; its name there."""

    async def fetch(self, assignment: Assignment, name: str, directory: Path) -> Path:
        """A file of the job, in a directory.

        Raises:
            NotFound: There is none, or it is another job's.
        """

    async def fetch_windows(self, assignment: Assignment, job_id: str, directory: Path) -> Path:
        """The windows of an earlier job of the same owner, in a directory.

        Raises:
            NotFound: There are none.
        """


class JobSource:
    """A queue of jobs, as its worker sees it; a source overrides what it has.

    All methods are called in one event loop. They raise QueueUnavailable where another try may
    succeed; nothing was changed then.

    Attributes:
        media: Its files; None: videos are delivered as the request asks, or streamed.
        progress_seconds: Progress is sent at most so often.
        renew_seconds: A lease is renewed, and a stop noticed, so often.
        max_retry_seconds: Longest pause between two tries of `finish` and `release`.
        takes_back: A job can be released, to be done by another worker.
        is_freed_by_exit: A job whose result was not taken is given to another worker only when
            this one has ended.
    """

    media: JobMedia | None = None
    progress_seconds: float
    renew_seconds: float
    max_retry_seconds: float
    takes_back: bool
    is_freed_by_exit: bool

    async def claim(self) -> Assignment | None:
        """The next job, or None after a while.

        Cancelling the call loses no job: one that was given out is returned, or goes back.
        """
        raise NotImplementedError

    async def renew(self, assignment: Assignment, progress: Progress | None) -> Stop | None:
        """Keep the job, and send its progress; why the work must stop, or None.

        A job that was stopped needs neither `finish` nor `release`.
        """
        raise NotImplementedError

    async def add_fragment(self, assignment: Assignment, fragment: Fragment, number: int) -> None:
        """Send the attempt's fragment `number`, from 0 on.

        Raises:
            Cancelled: The job was taken back.
            DeliveryFailed: The source refuses it.
        """
        raise NotImplementedError

    async def end_stream(self, assignment: Assignment, facts: Mapping[str, Any]) -> None:
        """Send the record that follows the last fragment, where there is one; as `add_fragment`."""

    async def finish(self, assignment: Assignment, outcome: Outcome, *, is_ending: bool) -> bool:
        """Send the job's end; False if the job is not this worker's any more.

        Args:
            assignment: The job.
            outcome: What became of it.
            is_ending: This worker takes no further job and wants to be replaced.
        """
        raise NotImplementedError

    async def release(self, assignment: Assignment, *, counted: bool) -> None:
        """Give the job back; only if `counted` it was an attempt. Nothing if not `takes_back`."""

    async def announce(self, status: WorkerStatus) -> None:
        """Called every second: say that the worker is there, and do what is due."""

    async def leave(self) -> None:
        """Say that the worker is gone."""


class SourceClient:
    """Thread-safe blocking client of a job's source, for the threads that do the work.

    Its methods raise Cancelled as soon as the job was taken back. Made in the event loop's thread.

    Args:
        source: Of the job.
        assignment: The job.
        cancelled: Set when the job is taken back.
    """

    def __init__(
        self, source: JobSource, assignment: Assignment, cancelled: threading.Event
    ) -> None:
        self._source = source
        self._assignment = assignment
        self._cancelled = cancelled
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._sending: Future[None] | None = None

    @property
    def has_media(self) -> bool:
        """Whether the source stores files."""
        return self._source.media is not None

    def put(self, path: Path) -> str:
        """Store a file; its name."""
        return self._call(self._media.put(self._assignment, path))

    def fetch(self, name: str, directory: Path) -> Path:
        """A file of the job, in a directory."""
        return self._call(self._media.fetch(self._assignment, name, directory))

    def fetch_windows(self, job_id: str, directory: Path) -> Path:
        """The windows of an earlier job, in a directory."""
        return self._call(self._media.fetch_windows(self._assignment, job_id, directory))

    def send_fragment(self, fragment: Fragment) -> None:
        """Send a fragment once the one before has been sent, and do not wait for it."""
        for part in fragment.split(MAX_FRAGMENT_BYTES):
            self.wait_until_sent()
            sending = self._source.add_fragment(self._assignment, part, next(self._numbers))
            self._sending = asyncio.run_coroutine_threadsafe(sending, self._loop)

    def end_stream(self, facts: Mapping[str, Any]) -> None:
        """Send the record that follows the last fragment."""
        self.wait_until_sent()
        self._call(self._source.end_stream(self._assignment, facts))

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
    def _media(self) -> JobMedia:
        media = self._source.media
        if media is None:
            raise ValueError("this source stores no files")
        return media

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
