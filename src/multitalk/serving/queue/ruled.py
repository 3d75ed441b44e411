"""What all queues do alike: the rules, over a store that changes one job in one step."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from multitalk.errors import NotFound
from multitalk.schema import JobStatus
from multitalk.serving.queue import rules
from multitalk.serving.queue.leases import Leases
from multitalk.serving.queue.records import (
    RETRYABLE,
    Counts,
    Job,
    Lease,
    Outcome,
    Stop,
    Submission,
)

LOOK_SECONDS = 0.5  # for one look at the queue, which is not broken off

Rule = Callable[[Job], Job]
Answer = TypeVar("Answer")


class RuledQueue(ABC):
    """A `JobQueue` over some operations of a store.

    Args:
        terms: What everybody who opens this queue agrees on.
    """

    def __init__(self, terms: rules.Terms) -> None:
        self.terms = terms
        self._leases = Leases(terms)
        self._claims: dict[str, float] = {}  # by lease: when, by `terms.ticks`

    @abstractmethod
    async def submit_all(
        self, submissions: Sequence[Submission], *, max_waiting: int | None = None
    ) -> list[Job]:
        """As `JobQueue.submit_all`."""

    @abstractmethod
    async def get(self, job_id: str) -> Job:
        """As `JobQueue.get`."""

    @abstractmethod
    async def submission(self, job_id: str) -> Submission:
        """As `JobQueue.submission`."""

    @abstractmethod
    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        owner: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        """As `JobQueue.jobs`."""

    @abstractmethod
    async def retry(self, job_id: str, *, max_waiting: int | None = None) -> Job:
        """As `JobQueue.retry`."""

    @abstractmethod
    async def leave(self, worker_id: str) -> None:
        """As `JobQueue.leave`."""

    @abstractmethod
    async def sweep(self) -> None:
        """As `JobQueue.sweep`."""

    @abstractmethod
    async def _change(self, job_id: str, rule: Rule, *, lasting: bool = True) -> Job:
        """Write what a rule makes of a job, in one step; the job as it then stands.

        The rule may be asked more than once, and what it raises is raised. What need not be
        `lasting` may be undone by a failure of the machine.
        """

    @abstractmethod
    async def _running(self) -> list[Job]:
        """Every job that is IN_PROGRESS."""

    @abstractmethod
    async def _take(self, worker_id: str, wait: float) -> Job | None:
        """A job for a worker: by `rules.claimed`, in order; it may wait for less."""

    @abstractmethod
    async def _keep_piece(self, job: Job, output: Mapping[str, Any]) -> None:
        """Store a piece as number `job.next_piece` of the lease `job.token`."""

    async def submit(self, submission: Submission, *, max_waiting: int | None = None) -> Job:
        """As `JobQueue.submit`."""
        (job,) = await self.submit_all([submission], max_waiting=max_waiting)
        return job

    async def claim(self, worker_id: str, *, wait: float) -> Lease | None:
        """As `JobQueue.claim`."""
        ends = asyncio.get_running_loop().time() + wait
        while True:
            left = min(LOOK_SECONDS, max(0.0, ends - asyncio.get_running_loop().time()))
            taking = asyncio.ensure_future(self._take_lease(worker_id, left))
            try:
                lease = await asyncio.shield(taking)
            except asyncio.CancelledError:
                if (lease := await taking) is not None:
                    await self.release(lease)
                raise
            if lease is not None or asyncio.get_running_loop().time() >= ends:
                return lease

    async def _take_lease(self, worker_id: str, wait: float) -> Lease | None:
        """The next job, claimed: not to be broken off halfway."""
        job = await self._take(worker_id, wait)
        if job is None:
            return None
        self._claims[job.token or ""] = self.terms.ticks()
        return Lease(
            job=job,
            submission=await self.submission(job.id),
            token=job.token or "",
            seconds=self.terms.lease_seconds,
        )

    async def renew(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Stop | None:
        """As `JobQueue.renew`."""
        stop: Stop | None = None
        ticks = self.terms.ticks()
        worked = ticks - self._claims.setdefault(lease.token, ticks)

        def rule(job: Job) -> Job:
            nonlocal stop
            now = self.terms.clock()
            after, stop = rules.renewed(job, lease.token, progress, now, self.terms, worked=worked)
            return after

        try:
            await self._change(lease.job.id, rule, lasting=False)
        except NotFound:
            stop = "lost"
        if stop is not None:
            self._claims.pop(lease.token, None)
        return stop

    async def add_piece(self, lease: Lease, output: Mapping[str, Any]) -> bool:
        """As `JobQueue.add_piece`: first the piece, then the number that makes it seen."""
        try:
            job = await self.get(lease.job.id)
            if not rules.is_held(job, lease.token):
                return False
            await self._keep_piece(job, output)
            after = await self._change(job.id, lambda now: rules.with_piece(now, lease.token))
        except NotFound:
            return False
        return rules.is_held(after, lease.token)

    async def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """As `JobQueue.finish`."""
        is_ours = False

        def rule(job: Job) -> Job:
            nonlocal is_ours
            is_ours = rules.is_held(job, lease.token) or rules.is_told(job, lease.token, outcome)
            return rules.finished(job, lease.token, outcome, self.terms.clock())

        try:
            await self._change(lease.job.id, rule)
        except NotFound:
            is_ours = False
        self._claims.pop(lease.token, None)
        return is_ours

    async def release(self, lease: Lease, *, counted: bool = False) -> None:
        """As `JobQueue.release`."""
        with suppress(NotFound):
            await self._change(
                lease.job.id, lambda job: rules.released(job, lease.token, counted=counted)
            )
        self._claims.pop(lease.token, None)

    async def bury(self, worker_id: str) -> None:
        """As `JobQueue.bury`."""

        def rule(job: Job) -> Job:
            return rules.abandoned(job, worker_id, self.terms.clock(), self.terms)

        await self.leave(worker_id)
        for job in await self._running():
            if job.worker_id == worker_id:
                with suppress(NotFound):
                    await self._change(job.id, rule)

    async def forget(self, job_id: str) -> None:
        """As `JobQueue.forget`."""
        await self._change(job_id, rules.unwanted)
        await self.sweep()

    async def _end_silent_leases(self) -> None:
        """Take jobs from workers that are not heard of any more."""

        def rule(job: Job) -> Job:
            if job.status is not JobStatus.IN_PROGRESS or not self._leases.is_silent(job):
                return job
            return rules.swept(job, self.terms.clock(), self.terms, is_silent=True) or job

        running = await self._running()
        self._leases.remember_only(running)
        for job in running:
            if self._leases.is_silent(job):
                with suppress(NotFound):
                    await self._change(job.id, rule)

    async def cancel(self, job_id: str) -> Job:
        """As `JobQueue.cancel`."""
        return await self._change(job_id, lambda job: rules.cancelled(job, self.terms.clock()))


def count(numbers: Iterable[tuple[JobStatus, int, int]]) -> Counts:
    """Counts from states, how many jobs are in each, and their redeliveries."""
    of = dict.fromkeys(JobStatus, 0)
    again = 0
    for status, jobs, redeliveries in numbers:
        of[status] += jobs
        again += redeliveries
    return Counts(
        completed=of[JobStatus.COMPLETED],
        failed=sum(of[status] for status in RETRYABLE),
        cancelled=of[JobStatus.CANCELLED],
        in_progress=of[JobStatus.IN_PROGRESS],
        in_queue=of[JobStatus.IN_QUEUE],
        retried=again,
    )


def unknown(job_id: str) -> NotFound:
    """What is raised where there is no such job."""
    return NotFound("job_unknown", job_id=job_id)
