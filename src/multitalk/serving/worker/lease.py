"""Keeps a job's lease while the work is done, and decides when the work must stop."""

import asyncio
import logging
import math
import threading
import time
from dataclasses import asdict
from typing import Any, Literal

from multitalk.errors import MultiTalkError, QueueUnavailable
from multitalk.job import Progress, translate_crashes
from multitalk.serving.logs import RateLimitedLog
from multitalk.serving.queue import Lease, Stop
from multitalk.serving.worker.job_source import JobSource, SourceTraits

TICK_SECONDS = 0.25

logger = logging.getLogger(__name__)


class LeaseKeeper:
    """Watches the work on one job.

    Args:
        source: Of the job.
        traits: Of the source.
        lease: The job's.
        stopping: Set when the worker is to end.
        job_seconds: How long the work may take.
        drain_seconds: How long it may still take once `stopping` is set.
        stuck_seconds: How long it may take to stop.

    Attributes:
        drain_seconds: As given, or less.
        cancelled: Set when the work must stop.
        why: The source's reason, or that the worker ends (`drained`).
    """

    def __init__(
        self,
        source: JobSource,
        traits: SourceTraits,
        lease: Lease,
        *,
        stopping: asyncio.Event,
        job_seconds: float,
        drain_seconds: float,
        stuck_seconds: float,
    ) -> None:
        self.cancelled = threading.Event()
        self.why: Stop | Literal["drained"] | None = None
        self.drain_seconds = drain_seconds
        self._source = source
        self._traits = traits
        self._lease = lease
        self._stopping = stopping
        self._stuck_seconds = stuck_seconds
        self._log = RateLimitedLog(logger)
        self._progress: Progress | None = None  # not sent yet
        self._sent_at = -math.inf
        self._stopping_at = math.inf
        self._renewed_at = self._reached_at = time.monotonic()
        # Work that does not end by itself in its time is stuck.
        self._stuck_at = self._reached_at + job_seconds + stuck_seconds

    @property
    def is_wanted(self) -> bool:
        """Whether the source still expects an outcome, or the job back."""
        return self.why in (None, "drained")

    def update(self, progress: Progress) -> None:
        """Note the progress; from any thread."""
        self._progress = progress

    async def keep(self, work: "asyncio.Future[Any]") -> None:
        """Keep the lease until the work has ended, or is stuck; an error here cancels the work."""
        try:
            await self._keep(work)
        except BaseException:
            self.cancelled.set()  # else the work goes on, and the process waits for its thread
            raise

    async def _keep(self, work: "asyncio.Future[Any]") -> None:
        while not work.done():
            await asyncio.wait({work}, timeout=TICK_SECONDS)
            now = time.monotonic()
            if self.is_wanted and not work.done():
                self.why = await self._renew(now) or self.why
            if self._is_drained(now):
                self.why = self.why or "drained"
            if self.why is not None:
                self._cancel(now)
            if now >= self._stuck_at:
                self.cancelled.set()
                return

    def _is_drained(self, now: float) -> bool:
        """Whether the worker ends, and has waited long enough for its job."""
        if not self._stopping.is_set():
            return False
        self._stopping_at = min(self._stopping_at, now)
        return now >= self._stopping_at + self.drain_seconds

    def _cancel(self, now: float) -> None:
        """Cancel the work, once."""
        if self.cancelled.is_set():
            return
        logger.info("job %s: stopping, %s", self._lease.job.id, self.why)
        self.cancelled.set()
        self._stuck_at = min(self._stuck_at, now + self._stuck_seconds)

    async def _renew(self, now: float) -> Stop | None:
        """Renew the lease if that is due, with the latest progress if it may be sent."""
        can_send = now >= self._sent_at + self._traits.progress_seconds
        progress = self._progress if can_send else None
        if progress is None and now < self._renewed_at + self._traits.renew_seconds:
            return None
        if progress is not None:
            self._progress, self._sent_at = None, now
        self._renewed_at = now
        try:
            shown = None if progress is None else asdict(progress)
            with translate_crashes(self._lease.job.id):
                stop = await self._source.renew(self._lease, shown)
        except QueueUnavailable as error:
            job_id = self._lease.job.id
            self._log.warn("lease", f"job {job_id}: lease not renewed: {error}")
            return "lost" if now > self._reached_at + self._lease.seconds else None
        except MultiTalkError as error:
            logger.error("job %s: its lease cannot be renewed: %s", self._lease.job.id, error)
            return "lost"
        self._reached_at = now
        return stop
