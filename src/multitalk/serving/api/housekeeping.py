"""Background work of a server: the queue's due work, webhooks, expired uploads, talk times."""

import asyncio
import logging
import time
from collections.abc import Callable

from multitalk.errors import NotFound
from multitalk.serving.api.database import Database
from multitalk.serving.api.jobs.estimate import past_talks, quality_of
from multitalk.serving.api.jobs.webhooks import Webhooks
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.logs import RateLimitedLog
from multitalk.serving.queue import JobQueue
from multitalk.serving.repeat import repeat

SWEEP_SECONDS = 1.0
WEBHOOKS_SECONDS = 0.5
TALK_TIMES_SECONDS = 2.0
FORGET_SECONDS = 60.0

logger = logging.getLogger(__name__)


class Housekeeping:
    """Work that is due again and again, until it is cancelled.

    Args:
        queue: Sweeps itself; has the finished talks.
        database: Records their times.
        uploads: Expired ones are removed.
        webhooks: Due ones are delivered.
        metrics: Get the talks' real-time factors.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        queue: JobQueue,
        database: Database,
        uploads: UploadStore,
        *,
        webhooks: Webhooks,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._database = database
        self._uploads = uploads
        self._clock = clock
        self._webhooks = webhooks
        self._metrics = metrics
        self._recorded: set[str] = set()

    async def run(self) -> None:
        """Do it until cancelled; what fails is done again when it is due again."""
        log = RateLimitedLog(logger)
        try:
            await asyncio.gather(
                repeat("sweep", SWEEP_SECONDS, self._queue.sweep, log),
                repeat("webhooks", WEBHOOKS_SECONDS, self._webhooks.deliver_due, log),
                repeat("talk times", TALK_TIMES_SECONDS, self._record_talk_times, log),
                repeat("uploads", FORGET_SECONDS, self._forget, log),
            )
        finally:
            await self._webhooks.close()

    async def _record_talk_times(self) -> None:
        """Record the times of finished talks, for estimates and metrics."""
        talks = await past_talks(self._queue, self._clock())
        for talk in talks:
            if talk.job_id in self._recorded:
                continue
            if (quality := await quality_of(self._queue, talk.job_id)) is not None:
                self._database.add_talk_time(
                    talk.job_id,
                    engine=talk.engine,
                    quality=quality,
                    talk_seconds=talk.seconds,
                    execution_seconds=talk.execution_seconds,
                )
                self._metrics.real_time_factor(talk.engine, talk.execution_seconds / talk.seconds)
        self._recorded = {talk.job_id for talk in talks}

    async def _forget(self) -> None:
        """Remove expired uploads, and records of streams whose jobs are deleted."""
        await asyncio.to_thread(self._uploads.sweep)
        for job_id in self._database.streams():
            try:
                await self._queue.get(job_id)
            except NotFound:
                self._database.forget_stream(job_id)
        await asyncio.to_thread(self._database.erase)
