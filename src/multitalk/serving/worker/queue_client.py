"""Thread-safe blocking client for the asyncio queue."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any, TypeVar

from multitalk.errors import Cancelled, NotFound, QueueUnavailable
from multitalk.media.fragments import Fragment
from multitalk.schema.validation import brief
from multitalk.serving.queue import JobQueue, Lease
from multitalk.serving.queue.records import JOB_ID, WINDOWS_SUFFIX, windows_of
from multitalk.timebase import FPS

WAKE_SECONDS = 0.2  # how soon waiting notices that the job was taken back
FULL_SECONDS = 60.0  # for which a store that is full is tried again: the work has cost minutes
PAUSE_SECONDS = 1.0

Answer = TypeVar("Answer")


class QueueClient:
    """What a job's work asks of the queue. To be made in the event loop's thread.

    Its methods wait for the queue and raise Cancelled as soon as the job was taken back, and
    QueueUnavailable as the queue's.

    Args:
        queue: The queue.
        lease: The job's.
        cancelled: Set when the job is taken back.
        full_seconds: How long it is tried to store something where the store is full.
    """

    def __init__(
        self,
        queue: JobQueue,
        lease: Lease,
        cancelled: threading.Event,
        *,
        full_seconds: float = FULL_SECONDS,
    ) -> None:
        self._full_seconds = full_seconds
        self._queue = queue
        self._lease = lease
        self._cancelled = cancelled
        self._loop = asyncio.get_running_loop()

    def keep(self, path: Path) -> str:
        """Store a file; its name."""
        media, job_id = self._queue.media, self._lease.job.id
        return self._stored(lambda: media.put(path, job_id=job_id, suffix=path.suffix))

    def fetch(self, name: str, directory: Path) -> Path:
        """A file of the job's as a file in a directory.

        Raises:
            NotFound: There is none, or it is another job's.
        """
        # A name of another job's is looked for under this one, where it is not.
        own = f"{self._lease.job.id}/{name.rpartition('/')[2]}"
        target = directory / f"upload-{name.rpartition('/')[2]}"
        self._wait(self._fetch(own, target))
        return target

    def earlier_windows(self, job_id: str, directory: Path) -> Path:
        """The file of an earlier job's windows, in a directory.

        Raises:
            NotFound: There is none of the owner of this job, or no more.
        """
        target = directory / f"earlier{WINDOWS_SUFFIX}"
        gone = NotFound("earlier_job_gone", field="continue_from.job", value=brief(job_id))
        if not re.fullmatch(JOB_ID, job_id):
            raise gone
        try:
            earlier = self._wait(self._queue.get(job_id))
            if earlier.owner != self._lease.submission.owner or not windows_of(earlier):
                raise gone
            self._wait(self._fetch(earlier.output["windows"], target))
        except NotFound as error:  # the store's own words are of uploads
            raise gone from error
        return target

    def add_fragment(self, fragment: Fragment, number: int) -> None:
        """Hand on a part of a video that is being encoded, the attempt's `number` from 0 on."""
        self._stored(lambda: self._add_fragment(fragment, number))

    async def _fetch(self, name: str, target: Path) -> None:
        with target.open("xb") as file:
            async for chunk in self._queue.media.read(name):
                await asyncio.to_thread(file.write, chunk)

    async def _add_fragment(self, fragment: Fragment, number: int) -> None:
        name = await self._queue.media.put(
            fragment.content, job_id=self._lease.job.id, suffix=".mp4"
        )
        place = {"segment": number, "start": fragment.first / FPS, "frames": fragment.num_frames}
        if not await self._queue.add_piece(self._lease, {**place, "video": name}):
            raise Cancelled

    def _stored(self, storing: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Store something, again and again while the store is full: nothing was changed then."""
        ends = time.monotonic() + self._full_seconds
        while True:
            try:
                return self._wait(storing())
            except QueueUnavailable as error:
                if error.key != "queue_full" or time.monotonic() > ends:
                    raise
            if self._cancelled.wait(PAUSE_SECONDS):
                raise Cancelled

    def _wait(self, asking: Coroutine[Any, Any, Answer]) -> Answer:
        answer = asyncio.run_coroutine_threadsafe(asking, self._loop)
        while True:
            try:
                return answer.result(WAKE_SECONDS)
            except NotYet:
                if answer.done():  # the queue's own TimeoutError
                    raise
                if self._cancelled.is_set():
                    answer.cancel()
                    raise Cancelled from None
