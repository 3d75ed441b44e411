"""Keeps a lease while the work is done, and says when the work must stop."""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from multitalk.errors import QueueUnavailable
from multitalk.job import Progress
from multitalk.serving.logs import RateLimitedLog
from multitalk.serving.queue import JobQueue, Lease, Stop

TICK_SECONDS = 0.25  # progress is told at most so often
RENEW_SECONDS = 0.5  # and a cancellation noticed so soon

logger = logging.getLogger(__name__)


class LeaseKeeper:
    """Watches over the work on one job.

    Args:
        queue: Where the job is.
        lease: Of the job.
        stopping: Set when the worker is to end.
        stuck_seconds: How long it may take to stop.

    Attributes:
        drain_seconds: How long the work may still take once `stopping` is set.
        cancelled: Set when the work must stop.
        why: It must: as the queue says, or because the worker is to end (`drained`).
    """

    def __init__(
        self,
        queue: JobQueue,
        lease: Lease,
        *,
        stopping: asyncio.Event,
        drain_seconds: float,
        stuck_seconds: float,
    ) -> None:
        self.cancelled = threading.Event()
        self.why: Stop | Literal["drained"] | None = None
        self._queue = queue
        self._lease = lease
        self._stopping = stopping
        self.drain_seconds = drain_seconds
        self._stuck_seconds = stuck_seconds
        self._log = RateLimitedLog(logger)
        self._progress: Progress | None = None  # that was not told yet
        self._renewed_at = self._heard_at = time.monotonic()

    @property
    def is_ours(self) -> bool:
        """Whether the queue still expects something from this worker."""
        return self.why in (None, "drained")

    def update(self, progress: Progress) -> None:
        """Note how far the work is; from any thread."""
        self._progress = progress

    async def keep(self, work: "asyncio.Future[Any]") -> None:
        """Keep the lease until the work has ended, or does not stop."""
        stopping_at = stuck_at = None
        while not work.done():
            await asyncio.wait({work}, timeout=TICK_SECONDS)
            now = time.monotonic()
            if self.is_ours and not work.done():
                self.why = await self._renew(now) or self.why
            if self._stopping.is_set():
                stopping_at = stopping_at or now
                if now >= stopping_at + self.drain_seconds:
                    self.why = self.why or "drained"
            if self.why is not None and stuck_at is None:
                logger.info("job %s: stopping, %s", self._lease.job.id, self.why)
                self.cancelled.set()
                stuck_at = now + self._stuck_seconds
            if stuck_at is not None and now >= stuck_at:
                return

    async def _renew(self, now: float) -> Stop | None:
        """Renew the lease if that is due."""
        if self._progress is None and now < self._renewed_at + RENEW_SECONDS:
            return None
        progress, self._progress = self._progress, None
        self._renewed_at = now
        try:
            stop = await self._queue.renew(self._lease, _as_told(progress))
        except QueueUnavailable as error:
            self._log.warn("lease", f"job {self._lease.job.id}: lease not renewed: {error}")
            return "lost" if now > self._heard_at + self._lease.seconds else None
        self._heard_at = now
        return stop


def _as_told(progress: Progress | None) -> Mapping[str, Any] | None:
    return None if progress is None else asdict(progress)
