"""How a job goes from state to state: pure functions, the same for every queue.

A rule takes a job as it stands and gives the job as it shall stand, or the same object where
nothing changes. A queue writes that in one step, if nobody else has written in between.
"""

import math
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from multitalk.errors import (
    Conflict,
    DeadlineExceeded,
    InternalError,
    MultiTalkError,
    TooManyRequests,
)
from multitalk.schema import ErrorReply, JobStatus, wanted_locale
from multitalk.serving.queue.records import (
    RETRYABLE,
    Job,
    Outcome,
    Stop,
    Submission,
    new_job_id,
)
from multitalk.serving.queue.summary import portrait_of, title_of

AT_ONCE = sys.float_info.min  # seconds; the smallest that is more than none
ROOM_SECONDS = 10.0  # after which one whose jobs wait in too great a number may ask again


# When an owner's next turn is: the number of its last claim, and since when its first job waits.
Order = tuple[int, float, int | str]


@dataclass(frozen=True)
class Terms:
    """What everybody who opens one queue should agree on.

    Attributes:
        lease_seconds: How long a worker may be silent.
        grace_seconds: How long it must be seen to be silent, even if the clock says that its lease
            ran out long ago: a clock that was set forward is no dead worker.
        max_attempts: Workers that one job may cost.
        clock: Seconds since 1970; it may be set forward and back.
        ticks: Seconds that only go forward, and stand still while the machine sleeps.
    """

    lease_seconds: float = 30.0
    grace_seconds: float = 5.0
    max_attempts: int = 3
    clock: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic


def accepted(submission: Submission, now: float) -> Job:
    """A job that was just sent."""
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
        input_bytes=len(submission.as_text()),
        created_at=now,
        queued_at=now,
    )


def same(job: Job, submission: Submission) -> Job:
    """The job of an idempotency key that is used again.

    Raises:
        Conflict: For another request.
    """
    if job.fingerprint != submission.fingerprint():
        raise Conflict("job_key_reused")
    return job


def check_room(waiting: int, more: int, limit: int | None) -> None:
    """Refuse jobs of an owner of whom too many wait already.

    Args:
        waiting: How many are IN_QUEUE.
        more: How many are to come.
        limit: How many may be IN_QUEUE; None: any number.

    Raises:
        TooManyRequests: Too many.
    """
    if limit is not None and more and waiting + more > limit:
        raise TooManyRequests(
            "too_many_waiting", seconds=ROOM_SECONDS, waiting=waiting, limit=limit
        )


def claimed(job: Job, worker_id: str, now: float, terms: Terms, *, turn: int) -> Job:
    """A job in the queue, with a worker; one that waited too long is TIMED_OUT instead."""
    if job.status is not JobStatus.IN_QUEUE:
        return job
    if (late := _late(job, now, now)) is not None:
        return late
    return _changed(
        job,
        status=JobStatus.IN_PROGRESS,
        started_at=now,
        worker_id=worker_id,
        attempts=job.attempts + 1,
        progress=None,
        token=secrets.token_hex(16),
        lease_until=now + terms.lease_seconds,
        first_piece=job.next_piece,
        turn=turn,
        batch=None,
    )


def ahead(place: int, order: Order, others: Iterable[tuple[int, Order]]) -> int:
    """How many waiting jobs are claimed before one, where owners take turns.

    Args:
        place: How many of its own owner's are before it.
        order: When its owner's next turn is.
        others: How many jobs of each other owner wait, and when that one's next turn is.
    """
    return place + sum(min(jobs, place + (their < order)) for jobs, their in others)


def whole(job: Job) -> Job:
    """A job of a batch that is stored as a whole."""
    return job if job.batch is None else _changed(job, batch=None)


def is_held(job: Job, token: str) -> bool:
    """Whether a lease is the job's."""
    return job.status is JobStatus.IN_PROGRESS and job.token == token


def is_told(job: Job, token: str, outcome: Outcome) -> bool:
    """Whether a lease's outcome is what the job has already: it was told twice."""
    told = (job.token, job.status, job.output, job.error)
    return told == (token, outcome.status, outcome.output, outcome.error)


def renewed(
    job: Job,
    token: str,
    progress: Mapping[str, Any] | None,
    now: float,
    terms: Terms,
    *,
    worked: float,
) -> tuple[Job, Stop | None]:
    """A job whose worker was heard of, and why that worker must stop, if it must.

    Args:
        job: As it stands.
        token: Of the worker's lease.
        progress: How far it is; None: as before.
        now: Seconds since 1970.
        terms: The queue's.
        worked: Seconds since the claim, by the worker's own clock, which nobody sets.
    """
    if not is_held(job, token):
        ends: dict[JobStatus, Stop] = {
            JobStatus.CANCELLED: "cancelled",
            JobStatus.TIMED_OUT: "timed_out",
        }
        return job, ends.get(job.status, "lost") if job.token == token else "lost"
    if (late := _late(job, (job.started_at or now) + worked, now)) is not None:
        return late, "timed_out"
    told = job.progress if progress is None else dict(progress)
    return _changed(job, lease_until=now + terms.lease_seconds, progress=told), None


def with_piece(job: Job, token: str) -> Job:
    """A job that has one piece more, if the lease is its own."""
    return _changed(job, next_piece=job.next_piece + 1) if is_held(job, token) else job


def finished(job: Job, token: str, outcome: Outcome, now: float) -> Job:
    """A job with what its worker found, if the lease is its own."""
    if not is_held(job, token):
        return job
    return _final(job, outcome.status, now, output=outcome.output, error=outcome.error)


def released(job: Job, token: str, *, counted: bool) -> Job:
    """A job that its worker gives back unharmed, if the lease is its own."""
    if not is_held(job, token):
        return job
    if counted:
        return _queued(job, redeliveries=job.redeliveries + 1)
    return _queued(job, attempts=job.attempts - 1)


def abandoned(job: Job, worker_id: str, now: float, terms: Terms) -> Job:
    """A job whose worker is dead, if it is that worker's: as if the lease had run out now."""
    if job.status is not JobStatus.IN_PROGRESS or job.worker_id != worker_id:
        return job
    return swept(job, now, terms, is_silent=True) or job


def cancelled(job: Job, now: float) -> Job:
    """A job that nobody wants any more, unless it is final."""
    return job if job.is_final else _final(job, JobStatus.CANCELLED, now)


def retried(job: Job, now: float) -> Job:
    """A job that is sent again.

    Raises:
        Conflict: It is not one that can be.
    """
    if job.status not in RETRYABLE:
        raise Conflict("job_not_retryable", status=job.status.value)
    return _queued(job, attempts=0, queued_at=now, redeliveries=job.redeliveries + 1)


def unwanted(job: Job) -> Job:
    """A job that ended and is to be forgotten now.

    Raises:
        Conflict: It has not ended.
    """
    if not job.is_final:
        raise Conflict("job_not_ended", status=job.status.value)
    return _changed(job, retention_seconds=AT_ONCE)


def due(job: Job) -> float:
    """When `swept` will next have something to do with a job.

    With one that is IN_PROGRESS it has as soon as the worker is silent, whatever the clock says.
    """
    if job.is_final:
        return (job.finished_at or job.queued_at) + job.retention_seconds
    if job.status is JobStatus.IN_PROGRESS:
        return math.inf
    return job.queued_at + job.policy.ttl_seconds


def swept(job: Job, now: float, terms: Terms, *, is_silent: bool = False) -> Job | None:
    """A job after what is due; None if it is to be forgotten.

    A job whose worker is heard of is that worker's, which measures its time. What is known of one
    whose worker `is_silent` is when it began.
    """
    if job.is_final:
        return None if now >= due(job) else job
    if job.status is JobStatus.IN_PROGRESS and not is_silent:
        return job
    if (late := _late(job, now, now)) is not None:
        return late
    if job.status is JobStatus.IN_QUEUE:
        return job
    if job.attempts < terms.max_attempts:
        return _queued(job, redeliveries=job.redeliveries + 1)
    error = InternalError("job_quarantined", attempts=job.attempts, job_id=job.id)
    return _failed(job, JobStatus.FAILED, error, now)


def _late(job: Job, moment: float, now: float) -> Job | None:
    """A job that at a moment has taken longer than it may; None if it has not."""
    ttl, limit = job.policy.ttl_seconds, job.policy.execution_seconds
    if moment >= job.queued_at + ttl:
        error = DeadlineExceeded("job_expired", seconds=ttl)
    elif job.started_at is not None and moment >= job.started_at + limit:
        error = DeadlineExceeded("deadline_exceeded", limit=limit)
    else:
        return None
    return _failed(job, JobStatus.TIMED_OUT, error, now)


def _failed(job: Job, status: JobStatus, error: MultiTalkError, now: float) -> Job:
    error.happened(None, job.id)
    reply = ErrorReply.of(error, job.locale).reply()
    return _final(job, status, now, error=str(reply.pop("error")), output=reply)


def _final(
    job: Job, status: JobStatus, now: float, *, output: Any = None, error: str | None = None
) -> Job:
    return _changed(
        job, status=status, finished_at=now, lease_until=None, output=output, error=error
    )


def _queued(job: Job, **changes: Any) -> Job:
    nothing = dict.fromkeys(
        ("started_at", "finished_at", "worker_id", "progress", "output", "error", "lease_until")
    )
    return _changed(job, status=JobStatus.IN_QUEUE, **nothing, **changes)


def _changed(job: Job, **changes: Any) -> Job:
    return job.model_copy(update={"version": job.version + 1, **changes})
