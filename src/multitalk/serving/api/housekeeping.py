"""What a server does beside answering: the queue's due work, webhooks, expired uploads, paces."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from multitalk.errors import MultiTalkError, NotFound
from multitalk.job import translate_crashes
from multitalk.serving.api.dependencies import Server
from multitalk.serving.api.estimate import past_talks, quality_of
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.webhooks import Webhooks
from multitalk.serving.logs import RateLimitedLog

SWEEP_SECONDS = 1.0
WEBHOOKS_SECONDS = 0.5
PACES_SECONDS = 2.0
FORGET_SECONDS = 60.0

logger = logging.getLogger(__name__)


class Housekeeping:
    """Work that is due again and again, until it is cancelled."""

    def __init__(self, server: Server, webhooks: Webhooks, metrics: Metrics) -> None:
        self._server = server
        self._webhooks = webhooks
        self._metrics = metrics
        self._paced: set[str] = set()
        self._log = RateLimitedLog(logger)

    async def run(self) -> None:
        """Do it until cancelled; what fails is done again when it is due again."""
        try:
            await asyncio.gather(
                self._every("sweep", SWEEP_SECONDS, self._server.queue.sweep),
                self._every("webhooks", WEBHOOKS_SECONDS, self._webhooks.deliver_due),
                self._every("paces", PACES_SECONDS, self._note_paces),
                self._every("uploads", FORGET_SECONDS, self._forget),
            )
        finally:
            await self._webhooks.close()

    async def _every(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                with translate_crashes("server"):
                    await work()
                self._log.resolve(name)
            except MultiTalkError as error:
                self._log.warn(name, f"{name}: {error}")
            await asyncio.sleep(seconds)

    async def _note_paces(self) -> None:
        """How long finished talks took, for estimates and metrics."""
        talks = await past_talks(self._server)
        for talk in talks:
            if talk.job_id in self._paced:
                continue
            if (quality := await quality_of(self._server, talk.job_id)) is not None:
                self._server.database.add_talk_time(
                    talk.job_id,
                    engine=talk.engine,
                    quality=quality,
                    talk_seconds=talk.seconds,
                    execution_seconds=talk.execution_seconds,
                )
                self._metrics.real_time_factor(talk.engine, talk.execution_seconds / talk.seconds)
        self._paced = {talk.job_id for talk in talks}

    async def _forget(self) -> None:
        """Uploads whose time is over, and streams of jobs that are no more."""
        server = self._server
        await asyncio.to_thread(server.uploads.sweep, server.clock())
        for job_id in server.database.streams():
            try:
                await server.queue.get(job_id)
            except NotFound:
                server.database.forget_stream(job_id)
        await asyncio.to_thread(server.database.erase)
