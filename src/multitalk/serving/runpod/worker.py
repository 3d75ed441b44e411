"""Jobs to answers: the engine in a thread of its own, while the event loop keeps answering.

The engine is used by one thread only, for one job at a time, and told to stop through the job's
event. What it does not obey within a while is a broken engine: the job is answered, and the worker
ends so that the platform starts a fresh one.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import ClientSession

from multitalk.engines.base import Engine
from multitalk.errors import DiskUnusable, EngineBroken, MultiTalkError
from multitalk.schema import wanted_locale
from multitalk.serving.room import Room
from multitalk.serving.runpod.outbox import (
    RESULT_PATIENCE_SECONDS,
    Outbox,
    Undelivered,
    as_json,
    with_message,
)
from multitalk.serving.runpod.progress import ProgressReporter
from multitalk.serving.runpod.stream import StreamSink
from multitalk.serving.runpod.task import Job, Task
from multitalk.settings import Settings

# How long the engine may take to notice that it must stop: a step of the largest model, its
# weights streamed to the GPU, takes half a minute.
STUCK_SECONDS = 120.0

logger = logging.getLogger(__name__)


class Worker:
    """Answers jobs with an engine that is loaded once.

    Args:
        engine: Ready to render; nothing else uses it.
        settings: The operator's limits and places.
        stuck_seconds: Grace for the engine to stop.
        result_patience: Seconds for which a result is posted.

    Attributes:
        engine_name: Of its engine.
        is_broken: No further job can be answered here; a fresh worker should take this one's place.
        is_stuck: The engine's thread will never end.
        room: Whether another job's files can be kept.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        stuck_seconds: float = STUCK_SECONDS,
        result_patience: float = RESULT_PATIENCE_SECONDS,
    ) -> None:
        self.engine_name = engine.name
        self.is_broken = False
        self.is_stuck = False
        self._engine = engine
        self._settings = settings
        self._stuck_seconds = stuck_seconds
        self._result_patience = result_patience
        self.room = Room(settings)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def handle(self, job: Job) -> dict[str, Any]:
        """The SDK's handler, for its local modes: `--test_input` and `--rp_serve_api`."""
        task = Task(job, self._settings, lambda _: None)
        reply: dict[str, Any] = json.loads(as_json(with_message(await self._run(task))))
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
        is_stream = self._settings.stream
        async with ProgressReporter(outbox) as reporter:
            task = Task(job, self._settings, reporter.update)
            if is_stream:
                task.sink = StreamSink(outbox, task.cancelled)
            reply = await self._run(task)
        try:
            await outbox.post_result(reply, is_stream=is_stream, stop_pod=self.is_broken)
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

    async def _run(self, task: Task) -> dict[str, Any]:
        """Do the task in the engine's thread, as long as the engine can be stopped."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._answer, task)
        try:
            await asyncio.wait({work}, timeout=task.settings.job_seconds + self._stuck_seconds)
        except asyncio.CancelledError:
            task.cancelled.set()
            await asyncio.wait({work}, timeout=self._stuck_seconds)
            if not work.done():
                self._give_up(task)
            raise
        if not work.done():
            task.cancelled.set()
            self._give_up(task)
            return task.failure(EngineBroken("engine_stuck"))
        return work.result()

    def _give_up(self, task: Task) -> None:
        logger.error("job %s: the engine does not stop; this worker ends", task.job_id)
        self.is_broken = self.is_stuck = True

    def _answer(self, task: Task) -> dict[str, Any]:
        try:
            return task.do(self._engine)
        except EngineBroken as error:
            logger.error("job %s: the engine is broken; this worker ends", task.job_id)
            self.is_broken = True
            return task.failure(error)
        except DiskUnusable as error:
            logger.error("job %s: no room for its files; this worker ends", task.job_id)
            self.is_broken = True
            return task.failure(error)
        except MultiTalkError as error:
            return task.failure(error)
