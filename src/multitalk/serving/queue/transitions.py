"""State transitions of a job: pure functions, shared by all queues.

A transition takes the current job and returns the new one, or the same object where nothing
changes. A queue stores the result atomically, by a transaction or by compare-and-set.
"""

import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from multitalk.errors import (
    Conflict,
    DeadlineExceeded,
    InternalError,
    MultiTalkError,
    NotFound,
    TooManyRequests,
)
from multitalk.schema import JobStatus, wanted_locale
from multitalk.serving.queue.records import (
    IMMEDIATELY,
    RETRYABLE,
    Job,
    Outcome,
    Stop,
    Submission,
    new_job_id,
    portrait_of,
    title_of,
)

RETRY_AFTER_SECONDS = 10.0  # sent to an owner with too many waiting jobs

# Sort key: owners served longest ago first; ties by their oldest waiting job.
Turn = tuple[int, float, int | str]


@dataclass(frozen=True)
class QueueConfig:
    """Parameters that all processes which open one queue should share.

    Attributes:
        lease_seconds: How long a lease lasts from each renewal.
        grace_seconds: How long a lease must be observed without a renewal, even if it ended long
            ago by the wall clock: that clock may have been set forward.
        max_attempts: Number of lost workers after which a job is quarantined.
        clock: Wall clock, seconds since 1970; it may be set.
        monotonic: Seconds that only grow, and stop while the machine sleeps.
    """

    lease_seconds: float = 30.0
    grace_seconds: float = 5.0
    max_attempts: int = 3
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


def accept(submission: Submission, now: float) -> Job:
    """A new job."""
    return Job(
        id=submission.job_id or new_job_id(),
        owner=submission.owner,
        webhook=submission.webhook,
        policy=submission.policy,
        stream=submission.stream,
        idempotency_key=submission.idempotency_key,
        retention_seconds=submission.retention_seconds,
        fingerprint=submission.fingerprint(),
        locale=wanted_locale(submission.input),
        title=title_of(submission.input),
        portrait=portrait_of(submission.input),
        input_bytes=len(submission.to_json()),
        created_at=now,
        queued_at=now,
    )


def check_same_request(job: Job, submission: Submission) -> Job:
    """The job, for a submission with the same idempotency key.

    Raises:
        Conflict: The submission is another request.
    """
    if job.fingerprint != submission.fingerprint():
        raise Conflict("job_key_reused")
    return job


def check_waiting_limit(waiting: int, more: int, limit: int | None) -> None:
    """Refuse `more` jobs of an owner beside those `waiting`, above a limit (None: no limit).

    Raises:
        TooManyRequests: The limit would be exceeded.
    """
    if limit is not None and more and waiting + more > limit:
        raise TooManyRequests(
            "too_many_waiting", seconds=RETRY_AFTER_SECONDS, waiting=waiting, limit=limit
        )


def claim(job: Job, worker_id: str, now: float, config: QueueConfig, *, turn: int) -> Job:
    """Give a job IN_QUEUE to a worker; a job that waited too long becomes TIMED_OUT."""
    if job.status is not JobStatus.IN_QUEUE:
        return job
    if (late := _late(job, now, now)) is not None:
        return late
    return _update(
        job,
        status=JobStatus.IN_PROGRESS,
        started_at=now,
        worker_id=worker_id,
        attempts=job.attempts + 1,
        progress=None,
        token=secrets.token_hex(16),
        lease_until=now + config.lease_seconds,
        first_fragment=job.next_fragment,
        turn=turn,
        batch=None,
    )


def jobs_ahead(place: int, turn: Turn, others: Iterable[tuple[int, Turn]]) -> int:
    """The number of waiting jobs that are claimed before one, where owners take turns.

    Args:
        place: Number of jobs of the same owner before it.
        turn: Its owner's turn.
        others: For each other owner, the number of waiting jobs and the turn.
    """
    return place + sum(min(jobs, place + (other < turn)) for jobs, other in others)


def complete_batch(job: Job) -> Job:
    """Make a job claimable whose batch is stored completely."""
    return job if job.batch is None else _update(job, batch=None)


def holds_lease(job: Job, token: str) -> bool:
    """Whether a token names the job's current lease."""
    return job.status is JobStatus.IN_PROGRESS and job.token == token


def has_outcome(job: Job, token: str, outcome: Outcome) -> bool:
    """Whether a job has this lease's outcome already: `finish` was repeated."""
    stored = (job.token, job.status, job.output, job.error)
    return stored == (token, outcome.status, outcome.output, outcome.error)


def renew(
    job: Job,
    token: str,
    progress: Mapping[str, Any] | None,
    now: float,
    config: QueueConfig,
    *,
    worked: float,
) -> tuple[Job, Stop | None]:
    """Extend a lease; the job, and why its worker must stop, or None.

    Args:
        job: The current state.
        token: Token of the worker's lease.
        progress: New progress; None: unchanged.
        now: Seconds since 1970.
        config: The queue's.
        worked: Seconds since the claim by the worker's monotonic clock.
    """
    if not holds_lease(job, token):
        ends: dict[JobStatus, Stop] = {
            JobStatus.CANCELLED: "cancelled",
            JobStatus.TIMED_OUT: "timed_out",
        }
        return job, ends.get(job.status, "lost") if job.token == token else "lost"
    if (late := _late(job, (job.started_at or now) + worked, now)) is not None:
        return late, "timed_out"
    progress = job.progress if progress is None else dict(progress)
    return _update(job, lease_until=now + config.lease_seconds, progress=progress), None


def add_fragment(job: Job, token: str) -> Job:
    """Count one more fragment, if the lease is current."""
    return _update(job, next_fragment=job.next_fragment + 1) if holds_lease(job, token) else job


def finish(job: Job, token: str, outcome: Outcome, now: float) -> Job:
    """Give a job its outcome, if the lease is current."""
    if not holds_lease(job, token):
        return job
    return _final(job, outcome.status, now, output=outcome.output, error=outcome.error)


def release(job: Job, token: str, *, counted: bool) -> Job:
    """Queue a job again for its worker, if the lease is current."""
    if not holds_lease(job, token):
        return job
    if counted:
        return _requeue(job, redeliveries=job.redeliveries + 1)
    return _requeue(job, attempts=job.attempts - 1)


def lose_worker(job: Job, worker_id: str, now: float, config: QueueConfig) -> Job:
    """Expire the lease of a job, if it belongs to this worker."""
    if job.status is not JobStatus.IN_PROGRESS or job.worker_id != worker_id:
        return job
    return expire(job, now, config, lease_expired=True) or job


def cancel(job: Job, now: float) -> Job:
    """Cancel a job, unless it is final."""
    return job if job.is_final else _final(job, JobStatus.CANCELLED, now)


def retry(job: Job, now: float) -> Job:
    """Queue a job again on request.

    Raises:
        Conflict: It is neither FAILED nor TIMED_OUT.
        NotFound: It is due for deletion; its files may be gone.
    """
    if job.is_final and now >= due(job):
        raise NotFound("job_unknown", job_id=job.id)
    if job.status not in RETRYABLE:
        raise Conflict("job_not_retryable", status=job.status.value)
    return _requeue(job, attempts=0, queued_at=now, redeliveries=job.redeliveries + 1)


def purge(job: Job, now: float) -> Job:
    """Cancel a job IN_QUEUE and make it due for deletion."""
    if job.status is not JobStatus.IN_QUEUE:
        return job
    return _update(_final(job, JobStatus.CANCELLED, now), retention_seconds=IMMEDIATELY)


def end_retention(job: Job) -> Job:
    """Make a job that has ended due for deletion.

    Raises:
        Conflict: It has not ended.
    """
    if not job.is_final:
        raise Conflict("job_not_ended", status=job.status.value)
    return _update(job, retention_seconds=IMMEDIATELY)


def due(job: Job) -> float:
    """The time of the next change by `expire`; never for a job IN_PROGRESS: its lease decides."""
    if job.is_forgotten:
        return 0.0
    if job.is_final:
        return (job.finished_at or job.queued_at) + job.retention_seconds
    if job.status is JobStatus.IN_PROGRESS:
        return math.inf
    return job.queued_at + job.policy.ttl_seconds


def expire(job: Job, now: float, config: QueueConfig, *, lease_expired: bool = False) -> Job | None:
    """Apply all time limits of a job; None if it is to be deleted.

    While a job's lease is valid, its worker measures the execution time.
    """
    if job.is_final:
        return None if now >= due(job) else job
    if job.status is JobStatus.IN_PROGRESS and not lease_expired:
        return job
    if (late := _late(job, now, now)) is not None:
        return late
    if job.status is JobStatus.IN_QUEUE:
        return job
    if job.attempts < config.max_attempts:
        return _requeue(job, redeliveries=job.redeliveries + 1)
    error = InternalError("job_quarantined", attempts=job.attempts, job_id=job.id)
    return _fail(job, error, now)


def _late(job: Job, moment: float, now: float) -> Job | None:
    """The TIMED_OUT job if it is over a time limit at a moment, else None."""
    ttl, limit = job.policy.ttl_seconds, job.policy.execution_seconds
    if moment >= job.queued_at + ttl:
        error = DeadlineExceeded("job_expired", seconds=ttl)
    elif job.started_at is not None and moment >= job.started_at + limit:
        error = DeadlineExceeded("deadline_exceeded", limit=limit)
    else:
        return None
    return _fail(job, error, now)


def _fail(job: Job, error: MultiTalkError, now: float) -> Job:
    error.set_context(None, job.id)
    outcome = Outcome.failed(error, job.locale)
    return _final(job, outcome.status, now, error=outcome.error, output=outcome.output)


def _final(
    job: Job, status: JobStatus, now: float, *, output: Any = None, error: str | None = None
) -> Job:
    return _update(
        job, status=status, finished_at=now, lease_until=None, output=output, error=error
    )


def _requeue(job: Job, **changes: Any) -> Job:
    cleared = dict.fromkeys(
        ("started_at", "finished_at", "worker_id", "progress", "output", "error", "lease_until")
    )
    return _update(job, status=JobStatus.IN_QUEUE, **cleared, **changes)


def _update(job: Job, **changes: Any) -> Job:
    return job.model_copy(update={"version": job.version + 1, **changes})
