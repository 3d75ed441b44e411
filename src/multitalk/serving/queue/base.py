"""The job queue: `JobQueue`, a template that SQLite and JetStream stores complete.

    submit -> IN_QUEUE -> claim -> IN_PROGRESS -> finish -> COMPLETED, FAILED or TIMED_OUT
                 ^                     |
                 `--- release, or the lease expired

Guarantees, on one machine (SQLite) and on many (NATS JetStream):

* An accepted job survives a crash of any process.
* A job has exactly one final state. `finish` returns False to a worker that has lost its lease, and
  its outcome is dropped.
* A crashed worker's job is queued again after one lease; after `max_attempts` workers it is FAILED
  (quarantined).
* A cancelled job is final at once. A job over its time limit, by its worker's monotonic clock, is
  final at the next `renew`. `renew` tells the worker about both. Setting a clock, on any machine,
  never takes a job from a worker that renews its lease.
* Owners take turns: the owner whose last claim is oldest is next. Jobs of one owner are claimed in
  the order of submission. Jobs of low priority come after all others.

Records hold no video: a `MediaStore` has the files. `open_queue` opens a queue by its URL. Call the
methods in the event loop that opened the queue; several processes may open the same queue.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from multitalk.errors import InternalError, NotFound, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import transitions
from multitalk.serving.queue.lease_monitor import LeaseMonitor
from multitalk.serving.queue.media import MediaStore
from multitalk.serving.queue.records import (
    RETRYABLE,
    Counts,
    FragmentRecord,
    Job,
    Lease,
    Outcome,
    Stop,
    Submission,
    WorkerRecord,
)
from multitalk.serving.queue.transitions import QueueConfig

ORPHAN_SECONDS = 86_400.0  # how long data without a job are kept: uploads precede their job
ORPHANS_EVERY_SECONDS = 3_600.0
CLAIM_SECONDS = 0.5  # longest wait of one attempt to claim, which is never interrupted

logger = logging.getLogger(__name__)

Transition = Callable[[Job], Job]


class OutcomeUnknown(QueueUnavailable):
    """The queue did not answer a change in time; the change may have been made."""


class JobQueue(ABC):
    """Jobs, their workers and their media.

    Every method raises QueueUnavailable where the store is full or cannot be reached. No job is
    changed then, except after OutcomeUnknown: then the change may have been made. Methods that name
    a job raise NotFound where there is none.

    A store implements the abstract methods; above all `_change`, which applies a transition to one
    job atomically.

    Attributes:
        media: Files of the jobs.
        config: Parameters that all processes which open this queue share.
    """

    media: MediaStore

    def __init__(self, config: QueueConfig) -> None:
        self.config = config
        self._leases = LeaseMonitor(config)
        self._claimed_at: dict[str, float] = {}  # by lease token, `config.monotonic` time

    # For clients ----------------------------------------------------------------------------------

    async def submit(self, submission: Submission, *, max_waiting: int | None = None) -> Job:
        """`submit_all` for one job."""
        (job,) = await self.submit_all([submission], max_waiting=max_waiting)
        return job

    @abstractmethod
    async def submit_all(
        self, submissions: Sequence[Submission], *, max_waiting: int | None = None
    ) -> list[Job]:
        """Add jobs of one owner: all of them or, on an error other than OutcomeUnknown, none.

        Args:
            submissions: The jobs. A job's id is `submission.job_id`, or a new one.
            max_waiting: Limit of the owner's jobs IN_QUEUE, these included; None: no limit.

        Returns:
            The jobs. For an idempotency key that was used before, with the same request, the
            existing job.

        Raises:
            Conflict: An idempotency key was used with another request.
            TooManyRequests: The limit would be exceeded.
        """

    @abstractmethod
    async def get(self, job_id: str) -> Job:
        """The current state of a job."""

    @abstractmethod
    async def submission(self, job_id: str) -> Submission:
        """A job as it was submitted."""

    @abstractmethod
    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        owner: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        """Jobs, newest first.

        Args:
            status: Only jobs in this state.
            owner: Only this owner's jobs.
            limit: Maximum number of jobs.
            before: Only jobs older than the one of this id: the last of the previous page.
        """

    @abstractmethod
    async def wait_for_change(self, job_id: str, *, seen: int, timeout: float) -> Job:
        """A job once its `version` is above `seen`, or unchanged after `timeout` seconds."""

    @abstractmethod
    async def fragments(self, job_id: str, *, after: int = 0) -> list[FragmentRecord]:
        """Fragments of the last attempt with numbers above `after`, in order.

        After a lost worker, the next attempt starts again at `segment` 0 under new numbers.
        """

    async def cancel(self, job_id: str) -> Job:
        """Make a job CANCELLED unless it is final already; the job after that."""
        return await self._change(job_id, lambda job: transitions.cancel(job, self.config.clock()))

    @abstractmethod
    async def retry(self, job_id: str, *, max_waiting: int | None = None) -> Job:
        """Queue a job again: same id and input; its earlier results are removed.

        Raises:
            Conflict: It is neither FAILED nor TIMED_OUT.
            NotFound: Its retention is over.
            TooManyRequests: The owner has `max_waiting` jobs IN_QUEUE.
        """

    async def forget(self, job_id: str) -> None:
        """Delete a job that has ended, and its files.

        Raises:
            Conflict: It has not ended.
        """
        await self._change(job_id, transitions.end_retention)
        await self.sweep()

    @abstractmethod
    async def ahead(self, job_id: str) -> int:
        """Number of jobs that are running or will be claimed before this one, which is IN_QUEUE."""

    @abstractmethod
    async def ended_jobs(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        """Ended jobs in the order of their end, as (number, job id).

        Numbers grow, and are valid for this opened queue only: start at 0 after opening to get
        every remembered job that has ended.

        Args:
            after: Only numbers above this one.
            limit: Maximum number of jobs.
        """

    @abstractmethod
    async def purge(self, *, owner: str | None = None) -> int:
        """Delete all jobs IN_QUEUE, of one owner or of all; the number of deleted jobs."""

    @abstractmethod
    async def counts(self) -> Counts:
        """Number of remembered jobs by state."""

    @abstractmethod
    async def workers(self) -> list[WorkerRecord]:
        """Workers that called `announce` within the last lease."""

    async def load(self) -> tuple[Counts, list[WorkerRecord]]:
        """`counts` and `workers`, which a store may read together."""
        return await self.counts(), await self.workers()

    async def wait_of(self, job_id: str) -> tuple[int, int]:
        """Of a job IN_QUEUE: `ahead`, and the number of workers."""
        return await self.ahead(job_id), len(await self.workers())

    # For workers ----------------------------------------------------------------------------------

    async def claim(self, worker_id: str, *, wait: float) -> Lease | None:
        """Claim the next job, waiting up to `wait` seconds for one; None if there is none.

        A job whose submission cannot be read any more becomes FAILED.

        The call may be cancelled: a job claimed by then goes back to the queue.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait
        while True:
            left = min(CLAIM_SECONDS, max(0.0, ends - loop.time()))
            claiming = asyncio.ensure_future(self._claim_lease(worker_id, left))
            try:
                lease = await asyncio.shield(claiming)
            except asyncio.CancelledError:
                if (lease := await claiming) is not None:
                    await self.release(lease)
                raise
            if lease is not None or loop.time() >= ends:
                return lease

    async def renew(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Stop | None:
        """Extend a lease and store the job's progress.

        Returns:
            None, or why the work must stop. A stopped job needs neither `finish` nor `release`.
        """
        stop: Stop | None = None
        ticks = self.config.monotonic()
        worked = ticks - self._claimed_at.setdefault(lease.token, ticks)

        def transition(job: Job) -> Job:
            nonlocal stop
            now = self.config.clock()
            after, stop = transitions.renew(
                job, lease.token, progress, now, self.config, worked=worked
            )
            return after

        try:
            await self._change(lease.job.id, transition, durable=False)
        except NotFound:
            stop = "lost"
        if stop is not None:
            self._claimed_at.pop(lease.token, None)
        return stop

    async def add_fragment(self, lease: Lease, output: Mapping[str, Any]) -> bool:
        """Append a fragment, as `FragmentRecord.output`; False if the lease was lost."""
        try:
            job = await self.get(lease.job.id)
            if not transitions.holds_lease(job, lease.token):
                return False
            await self._store_fragment(job, output)  # invisible until `next_fragment` is above it
            after = await self._change(
                job.id, lambda now: transitions.add_fragment(now, lease.token)
            )
        except NotFound:
            return False
        return transitions.holds_lease(after, lease.token)

    async def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """Give a job its final state; False if the lease was lost and the outcome is dropped."""
        is_accepted = False

        def transition(job: Job) -> Job:
            nonlocal is_accepted
            is_accepted = transitions.holds_lease(job, lease.token) or transitions.has_outcome(
                job, lease.token, outcome
            )
            return transitions.finish(job, lease.token, outcome, self.config.clock())

        try:
            await self._change(lease.job.id, transition)
        except NotFound:
            is_accepted = False
        self._claimed_at.pop(lease.token, None)
        return is_accepted

    async def release(self, lease: Lease, *, counted: bool = False) -> None:
        """Return a job to the queue unfinished; it was an attempt only if `counted`."""
        with suppress(NotFound):
            await self._change(
                lease.job.id, lambda job: transitions.release(job, lease.token, counted=counted)
            )
        self._claimed_at.pop(lease.token, None)

    @abstractmethod
    async def announce(self, worker: WorkerRecord) -> None:
        """Register a worker, or its new state; to be repeated within a lease's time."""

    @abstractmethod
    async def leave(self, worker_id: str) -> None:
        """Remove a worker."""

    async def mark_worker_dead(self, worker_id: str) -> None:
        """Remove a worker that is certainly dead and expire its lease immediately."""

        def transition(job: Job) -> Job:
            return transitions.lose_worker(job, worker_id, self.config.clock(), self.config)

        await self.leave(worker_id)
        for job in await self._running():
            if job.worker_id == worker_id:
                with suppress(NotFound):
                    await self._change(job.id, transition)

    # For both -------------------------------------------------------------------------------------

    @abstractmethod
    async def sweep(self) -> None:
        """Expire leases and jobs that waited too long, and delete jobs after their retention.

        Servers and workers call it about every second; concurrent calls are safe. Afterwards none
        of a SQLite queue's files, its log included, contains the deleted jobs.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the store; jobs stay."""

    # For stores -----------------------------------------------------------------------------------

    @abstractmethod
    async def _change(self, job_id: str, transition: Transition, *, durable: bool = True) -> Job:
        """Apply a transition to one job atomically; the job after it.

        The transition may be called more than once; its exceptions are raised. A failure of the
        machine may undo a change that is not `durable`.
        """

    @abstractmethod
    async def _running(self) -> list[Job]:
        """All jobs IN_PROGRESS."""

    @abstractmethod
    async def _claim_job(self, worker_id: str, wait: float) -> Job | None:
        """Claim the next job by `transitions.claim`; may return None before `wait` seconds."""

    @abstractmethod
    async def _store_fragment(self, job: Job, output: Mapping[str, Any]) -> None:
        """Store a fragment as number `job.next_fragment` of the lease `job.token`."""

    async def _claim_lease(self, worker_id: str, wait: float) -> Lease | None:
        job = await self._claim_job(worker_id, wait)
        if job is None:
            return None
        token, claimed_at = job.token or "", self.config.monotonic()
        try:
            submission = await self.submission(job.id)
        except QueueUnavailable:
            with suppress(QueueUnavailable, NotFound):  # else its lease ends
                await self._change(
                    job.id, lambda now: transitions.release(now, token, counted=False)
                )
            raise
        except Exception as error:
            # Its text may be in the error's.
            reason = type(error).__name__
            logger.error("job %s: its submission cannot be read (%s)", job.id, reason)
            await self._fail(job, token)
            return None
        self._claimed_at[token] = claimed_at
        return Lease(job=job, submission=submission, token=token, seconds=self.config.lease_seconds)

    async def _fail(self, job: Job, token: str) -> None:
        """Make a claimed job FAILED that no worker can do."""
        error = InternalError("internal_error", job_id=job.id)
        error.set_context(None, job.id)
        outcome = Outcome.failed(error, job.locale)
        now = self.config.clock()
        with suppress(NotFound):
            await self._change(job.id, lambda job: transitions.finish(job, token, outcome, now))

    async def _expire_leases(self) -> None:
        """Take jobs from workers that do not renew their leases."""

        def transition(job: Job) -> Job:
            if job.status is not JobStatus.IN_PROGRESS or not self._leases.is_expired(job):
                return job
            now = self.config.clock()
            return transitions.expire(job, now, self.config, lease_expired=True) or job

        running = await self._running()
        self._leases.retain(running)
        for job in running:
            if self._leases.is_expired(job):
                with suppress(NotFound):
                    await self._change(job.id, transition)


def sum_counts(rows: Iterable[tuple[JobStatus, int, int]]) -> Counts:
    """Counts from rows of (state, number of jobs, their redeliveries)."""
    number = dict.fromkeys(JobStatus, 0)
    retried = 0
    for status, jobs, redeliveries in rows:
        number[status] += jobs
        retried += redeliveries
    return Counts(
        completed=number[JobStatus.COMPLETED],
        failed=sum(number[status] for status in RETRYABLE),
        cancelled=number[JobStatus.CANCELLED],
        in_progress=number[JobStatus.IN_PROGRESS],
        in_queue=number[JobStatus.IN_QUEUE],
        retried=retried,
    )


def unknown_job(job_id: str) -> NotFound:
    """The error for an id of no job."""
    return NotFound("job_unknown", job_id=job_id)
