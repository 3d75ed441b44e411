"""One job to one answer: the engine in a thread of its own, while the event loop keeps answering.

The engine is used by one thread only, for one job at a time, and told to stop through the job's
event. What it does not obey within a while is a broken engine: the job is answered, and the worker
ends so that the platform starts a fresh one.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import isfinite
from typing import Any

from aiohttp import ClientSession

from multitalk.engines.base import Engine
from multitalk.errors import EngineBroken, MultiTalkError
from multitalk.job import Progress, guarded, run_job
from multitalk.schema import ErrorReply, parse_request, wanted_locale
from multitalk.serving.runpod.outbox import RESULT_PATIENCE_SECONDS, Outbox, Undelivered, as_json
from multitalk.serving.runpod.progress import ProgressReporter
from multitalk.settings import Settings

# How long the engine may take to notice that it must stop: a step of the largest model, its
# weights streamed to the GPU, takes half a minute.
STUCK_SECONDS = 120.0

Job = Mapping[str, Any]  # as the platform gives it: id, input, and perhaps policy

logger = logging.getLogger(__name__)


class Worker:
    """Answers jobs with an engine that is loaded once.

    Args:
        engine: Ready to render; nothing else uses it.
        settings: The operator's limits and places.
        stuck_seconds: Grace for the engine to stop.
        result_patience: Seconds for which a result is posted.

    Attributes:
        is_broken: No further job can be answered here; a fresh worker should take this one's place.
        is_stuck: The engine's thread will never end.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        stuck_seconds: float = STUCK_SECONDS,
        result_patience: float = RESULT_PATIENCE_SECONDS,
    ) -> None:
        self.is_broken = False
        self.is_stuck = False
        self._engine = engine
        self._settings = settings
        self._stuck_seconds = stuck_seconds
        self._result_patience = result_patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def handle(self, job: Job) -> dict[str, Any]:
        """The SDK's handler, for its local modes: `--test_input` and `--rp_serve_api`."""
        reply: dict[str, Any] = json.loads(as_json(await self._run(job, lambda _: None)))
        return reply

    async def serve(self, session: ClientSession, job: Job) -> None:
        """Answer a job of the platform's, and see that the answer gets there.

        Raises:
            asyncio.CancelledError: The platform took the job back; the work has ended.
        """
        outbox = Outbox(
            session,
            job["id"],
            locale=wanted_locale(job["input"]),
            result_patience=self._result_patience,
        )
        async with ProgressReporter(outbox) as reporter:
            reply = await self._run(job, reporter.update)
        try:
            await outbox.post_result(reply, stop_pod=self.is_broken)
        except Undelivered:
            logger.error(
                "job %s: its result could not be posted in %g s; this worker ends, so that the "
                "platform gives the job to another",
                job["id"],
                self._result_patience,
            )
            self.is_broken = True

    async def try_out(self, work: Callable[[Engine], None]) -> None:
        """Do something with the engine where jobs will use it: in its thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work, self._engine)

    async def _run(self, job: Job, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        settings = _with_deadline(self._settings, job)
        cancelled = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, self._answer, job, settings, on_progress, cancelled
        )
        try:
            await asyncio.wait({work}, timeout=settings.job_seconds + self._stuck_seconds)
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.wait({work}, timeout=self._stuck_seconds)
            if not work.done():
                self._give_up(job)
            raise
        if not work.done():
            cancelled.set()
            self._give_up(job)
            return _reply_of(EngineBroken("engine_stuck"), job)
        return work.result()

    def _give_up(self, job: Job) -> None:
        logger.error("job %s: the engine does not stop; this worker ends", job["id"])
        self.is_broken = self.is_stuck = True

    def _answer(
        self,
        job: Job,
        settings: Settings,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> dict[str, Any]:
        """In the engine's thread."""
        try:
            with guarded(job["id"]):
                result = run_job(
                    parse_request(job["input"], settings=settings),
                    engine=self._engine,
                    settings=settings,
                    job_id=job["id"],
                    on_progress=on_progress,
                    cancelled=cancelled,
                )
                return result.reply()
        except EngineBroken as error:
            logger.error("job %s: the engine is broken; this worker ends", job["id"])
            self.is_broken = True
            return _reply_of(error, job)
        except MultiTalkError as error:
            return _reply_of(error, job)


def _reply_of(error: MultiTalkError, job: Job) -> dict[str, Any]:
    return ErrorReply.of(error, wanted_locale(job["input"])).reply()


def _with_deadline(settings: Settings, job: Job) -> Settings:
    """The operator's time for a job, or the job's own where that is shorter.

    The platform ends a job after `policy.executionTimeout` milliseconds and leaves it to the
    worker to notice.
    """
    policy = job.get("policy")
    limit = policy.get("executionTimeout") if isinstance(policy, Mapping) else None
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return settings
    if not (isfinite(limit) and limit > 0):
        return settings
    return replace(settings, job_seconds=min(settings.job_seconds, limit / 1000))
