"""What a server does beside answering: the queue's due work, webhooks, expired uploads, paces."""

import asyncio
import logging
from collections.abc import Mapping

from multitalk.errors import MultiTalkError, NotFound
from multitalk.schema import JobStatus
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.server import Server
from multitalk.serving.api.webhooks import Webhooks

PERIOD_SECONDS = 0.5
FINISHED_EVERY = 4  # periods
EXPIRED_EVERY = 120
FINISHED_JOBS = 50  # that one look for paces takes in

logger = logging.getLogger(__name__)


class Housekeeping:
    """Work that is due again and again, until it is cancelled."""

    def __init__(self, server: Server, webhooks: Webhooks, metrics: Metrics) -> None:
        self._server = server
        self._webhooks = webhooks
        self._metrics = metrics
        self._paced: set[str] = set()

    async def run(self) -> None:
        """Do it for ever; a store that cannot be reached now is asked again."""
        period = 0
        delivering: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    await self._server.queue.sweep()
                    if period % FINISHED_EVERY == 0:
                        await self._note_paces()
                    if period % EXPIRED_EVERY == 0:
                        await self._forget()
                    if delivering is None or delivering.done():
                        if delivering is not None:
                            delivering.result()
                        delivering = asyncio.create_task(self._webhooks.deliver_due())
                except MultiTalkError as error:
                    logger.warning("%s", error)
                period += 1
                await asyncio.sleep(PERIOD_SECONDS)
        finally:
            if delivering is not None:
                delivering.cancel()

    async def _note_paces(self) -> None:
        """How long finished talks took, for estimates and metrics."""
        server = self._server
        jobs = await server.queue.jobs(status=JobStatus.COMPLETED, limit=FINISHED_JOBS)
        for job in jobs:
            execution = job.execution_seconds(server.clock())
            if job.id in self._paced or execution is None or not isinstance(job.output, Mapping):
                continue
            engine, length = job.output.get("engine"), job.output.get("duration_seconds")
            if isinstance(engine, str) and isinstance(length, int | float) and length > 0:
                server.ledger.note_pace(
                    job.id, engine=engine, talk_seconds=length, execution_seconds=execution
                )
                self._metrics.pace(engine, execution / length)
        self._paced = {job.id for job in jobs}

    async def _forget(self) -> None:
        """Uploads whose time is over, and streams of jobs that are no more."""
        server = self._server
        await asyncio.to_thread(server.uploads.sweep, server.clock())
        for job_id in server.ledger.streams():
            try:
                await server.queue.get(job_id)
            except NotFound:
                server.ledger.forget_stream(job_id)
