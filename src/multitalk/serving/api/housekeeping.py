"""What a server does beside answering: the queue's due work, webhooks, expired uploads, paces."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from multitalk.errors import MultiTalkError, NotFound
from multitalk.job import guarded
from multitalk.schema import JobStatus
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.server import Server
from multitalk.serving.api.webhooks import Webhooks

SWEEP_SECONDS = 1.0
WEBHOOKS_SECONDS = 0.5
PACES_SECONDS = 2.0
FORGET_SECONDS = 60.0
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
        """Do it until cancelled; what fails is done again when it is due again."""
        await asyncio.gather(
            self._every(SWEEP_SECONDS, self._server.queue.sweep),
            self._every(WEBHOOKS_SECONDS, self._webhooks.deliver_due),
            self._every(PACES_SECONDS, self._note_paces),
            self._every(FORGET_SECONDS, self._forget),
        )

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                with guarded("of the server's own"):
                    await work()
            except MultiTalkError as error:
                logger.warning("%s", error)
            await asyncio.sleep(seconds)

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
