"""The queue between those who send jobs and those who do them, as a protocol.

    submit -> IN_QUEUE -> claim -> IN_PROGRESS -> finish -> COMPLETED, FAILED or TIMED_OUT
                 ^                     |
                 `--- release, or the lease ran out

What every queue promises, on one machine (SQLite) and on many (NATS JetStream):

* A job that was accepted is there after a crash of anybody.
* A job has exactly one final state. A worker whose lease was lost is told so by `finish`, and what
  it brings is dropped.
* A worker that is lost costs its job one lease's time; a job that costs `max_attempts` workers is
  FAILED, quarantined.
* A job that is cancelled is final at once; one that has taken longer than it may, by its worker's
  own clock, at the next `renew`, from which the worker learns either. No clock that is set, on any
  machine, takes a job from a worker that renews its lease.
* Owners take turns: the one whose last claim is the longest ago is next. An owner's jobs are
  claimed in the order in which they were sent. Jobs of low priority come after all others.

Videos are not in the records: they lie in the `MediaStore` beside it, under names that it gives.
`open_queue` in `serving.queue` opens one by its URL. All methods are to be called in the event loop
in which the queue was opened; several processes may open the same queue.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from multitalk.schema import JobStatus
from multitalk.serving.queue.records import (
    Counts,
    Job,
    Lease,
    Outcome,
    PieceRecord,
    Stop,
    Submission,
    WorkerRecord,
)


class MediaStore(Protocol):
    """Files of jobs: videos, their pieces, and uploads. A job's are removed with the job.

    A name is `JOB_ID/TOKEN.SUFFIX`, the store's own choice; a name of any other form is unknown.
    """

    @property
    def place(self) -> Path | None:
        """The directory that it is in, which may still be to be made; None: on another machine."""

    async def put(self, source: Path | bytes, *, job_id: str, suffix: str) -> str:
        """Store a file under a new name.

        Args:
            source: A file, which stays where it is and must not be changed any more, or the bytes.
            job_id: Whose it is.
            suffix: Such as `.mp4`: letters and digits after a dot.

        Returns:
            Its name.

        Raises:
            QueueUnavailable: The store is full, or cannot be reached.
        """

    async def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            NotFound: There is no such file, or no more.
        """

    def read(self, name: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive; the file's end if None), in chunks of up to 1 MiB.

        Raises:
            NotFound: There is no such file, or no more; at the first chunk.
        """

    async def job_bytes(self, job_id: str) -> int:
        """Bytes of all files of a job; 0 where it has none."""

    async def remove_job(self, job_id: str) -> None:
        """Remove all files of a job."""


class JobQueue(Protocol):
    """Jobs, their workers and their media.

    Every method raises QueueUnavailable where the store cannot be reached or is full; nothing is
    changed then. Methods that name a job raise NotFound where there is none.
    """

    @property
    def media(self) -> MediaStore:
        """Where the videos are."""

    # For those who send jobs ----------------------------------------------------------------------

    async def submit(self, submission: Submission, *, max_waiting: int | None = None) -> Job:
        """As `submit_all`, of one job."""

    async def submit_all(
        self, submissions: Sequence[Submission], *, max_waiting: int | None = None
    ) -> list[Job]:
        """Keep jobs of one owner until workers take them: all, or, where it raises, none.

        Args:
            submissions: What is sent. A job's id is `submission.job_id`, or a new one.
            max_waiting: How many jobs of the owner may then be IN_QUEUE; None: any number.

        Returns:
            The jobs. Where an idempotency key was used before, with the same request, it is the
            job that there is.

        Raises:
            Conflict: An idempotency key was used with another request.
            TooManyRequests: Too many would wait.
        """

    async def get(self, job_id: str) -> Job:
        """A job as it stands."""

    async def submission(self, job_id: str) -> Submission:
        """A job as it was sent."""

    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        owner: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        """Jobs, the youngest first.

        Args:
            status: Only these.
            owner: Only this one's.
            limit: At most so many.
            before: Only those sent before the job of this id: the last one's of the page before.
        """

    async def wait_for_change(self, job_id: str, *, seen: int, timeout: float) -> Job:
        """A job once its `version` is above `seen`, or as it stands after `timeout` seconds."""

    async def pieces(self, job_id: str, *, after: int = 0) -> list[PieceRecord]:
        """Pieces of the last attempt with numbers above `after`, in order.

        After a lost worker the next attempt's pieces begin anew (`segment` 0) under new numbers.
        """

    async def cancel(self, job_id: str) -> Job:
        """Make a job CANCELLED, unless it is final already; the job as it then stands."""

    async def retry(self, job_id: str, *, max_waiting: int | None = None) -> Job:
        """Put a job back into the queue, as new: same id and input, what it had made is removed.

        Raises:
            Conflict: It is neither FAILED nor TIMED_OUT.
            TooManyRequests: As many jobs of its owner wait as may.
        """

    async def forget(self, job_id: str) -> None:
        """Forget a job that has ended, and remove its files.

        Raises:
            Conflict: It has not ended.
        """

    async def ahead(self, job_id: str) -> int:
        """How many jobs are being done, or will be claimed, before one that is IN_QUEUE."""

    async def ended(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        """Jobs that came to their end, in that order, as pairs of a number and the job's id.

        The numbers grow. They are this opening's own: whoever opens the queue begins at 0, and
        learns of every job that has ended and is remembered.

        Args:
            after: Only those with numbers above this one.
            limit: At most so many.
        """

    async def purge(self, *, owner: str | None = None) -> int:
        """Forget every job that is IN_QUEUE, or every one of an owner's; how many there were."""

    async def counts(self) -> Counts:
        """How many jobs are remembered in which state."""

    async def workers(self) -> list[WorkerRecord]:
        """Workers that were heard of within a lease's time."""

    # For workers ----------------------------------------------------------------------------------

    async def claim(self, worker_id: str, *, wait: float) -> Lease | None:
        """The next job, waiting for one for up to `wait` seconds; None where there is none.

        It is safe to cancel the call: what it has claimed by then goes back to the queue.
        """

    async def renew(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Stop | None:
        """Keep a lease, and say how far the job is.

        Returns:
            None, or why the work must stop. A stopped job needs neither `finish` nor `release`.
        """

    async def add_piece(self, lease: Lease, output: Mapping[str, Any]) -> bool:
        """Append a piece, as `PieceRecord.output`; False if the lease was lost."""

    async def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """Give a job its final state; False if the lease was lost and the outcome is dropped."""

    async def release(self, lease: Lease, *, counted: bool = False) -> None:
        """Give a job back, to be done from the start; only if `counted` it was an attempt."""

    async def announce(self, worker: WorkerRecord) -> None:
        """Say that a worker is there; to be repeated within a lease's time."""

    async def leave(self, worker_id: str) -> None:
        """Say that a worker is gone."""

    async def bury(self, worker_id: str) -> None:
        """Say that a worker is dead, for certain: its job's lease runs out at once."""

    # For both -------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Do what is due: lost leases, jobs that waited too long, jobs to be forgotten.

        To be called every second or so by servers and workers; many may do it at once. What was
        forgotten is then in none of a SQLite queue's files any more, its log included.
        """

    async def close(self) -> None:
        """Let go of the store; jobs stay."""
