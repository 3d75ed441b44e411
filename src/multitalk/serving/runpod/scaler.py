"""The SDK's loops, made patient.

They ask for, run and stop jobs as `JobScaler` does, but

* a platform that is down or has nothing is asked ever more slowly, not 3,000 times a second;
* the next job is asked for as soon as there is room, not up to a second later, and run at once;
* a stop signal (SIGTERM) ends open polls at once, while a job that has come is finished;
* no job is asked for while its files could not be kept;
* a result is posted until it is taken (`outbox`), and a worker that cannot go on ends itself.

Needs names that the SDK keeps to itself; a test holds them to the pinned version. Can go when the
SDK does these things.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import ClientSession
from runpod.http_client import TooManyRequests
from runpod.serverless.modules.rp_job import get_job, get_stop_signals
from runpod.serverless.modules.rp_scale import JobScaler

from multitalk.serving.room import LOOK_SECONDS
from multitalk.serving.runpod.worker import Worker

HELD_SECONDS = 0.5  # a poll that lasts as long was held by the platform
EMPTY_DELAY_SECONDS = 0.5  # after an empty answer that was not held
MAX_DELAY_SECONDS = 15.0
BUSY_DELAY_SECONDS = 5.0  # after "too many requests", as in the SDK
POLL_SECONDS = 90.0  # the longest that the SDK waits
# An answer that is on its way when the worker is told to stop holds a job that nobody else has.
LAST_ANSWER_SECONDS = 0.3

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Pace:
    """How soon to ask again: at once after a held poll, ever later after failures.

    Attributes:
        delay: Seconds to wait before the next question.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self._asked = 0.0

    def __enter__(self) -> None:
        self._asked = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if time.monotonic() - self._asked >= HELD_SECONDS:
            self.delay = 0.0
        elif kind is None:
            self.delay = EMPTY_DELAY_SECONDS
        else:
            self.delay = min(max(2 * self.delay, EMPTY_DELAY_SECONDS), MAX_DELAY_SECONDS)


class PatientScaler(JobScaler):  # type: ignore[misc]  # the SDK has no types
    """`JobScaler` for a worker; the SDK makes one when it is in that name's place."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._worker: Worker = config["worker"]
        self.jobs_fetcher = self._fetch_jobs
        self.stop_signals_fetcher = self._fetch_stop_signals
        self.stop_signals_fetcher_timeout = None  # each poll has its own
        self.jobs_handler = self._answer
        self._job_pace, self._stop_pace = Pace(), Pace()
        self._room = asyncio.Event()

    def start(self) -> None:
        """Work until told to stop.

        Raises:
            SystemExit: The worker cannot go on and wants a fresh one in its place.
        """
        super().start()
        if self._worker.is_stuck:  # its thread would keep the process alive
            sys.stdout.flush()
            os._exit(1)
        if self._worker.is_broken:
            raise SystemExit(1)

    async def run(self) -> None:
        """The loops, with signals that wake them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.kill_worker)
        await super().run()

    # Asking for jobs -----------------------------------------------------------------------------

    async def get_jobs(self, session: ClientSession) -> None:
        """Ask for jobs until told to stop."""
        try:
            await super().get_jobs(session)
        finally:
            await self.jobs_queue.put(None)

    async def run_jobs(self, session: ClientSession) -> None:
        """Run jobs as they come, which the SDK looks for ten times a second.

        Ends after the last that was given out, be it together with the stop signal.
        """
        running: set[asyncio.Task[None]] = set()
        while (job := await self.jobs_queue.get()) is not None:
            task = asyncio.create_task(self.handle_job(session, job))
            self.jobs_tasks[job["id"]] = task
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running, return_exceptions=True)

    async def set_scale(self) -> None:
        """Before jobs are asked for: wait for room, which the SDK looks for once a second."""
        await super().set_scale()
        while self.is_alive() and self.current_occupancy() >= self.current_concurrency:
            self._room.clear()
            await self._unless_told_to_stop(self._room.wait())

    async def handle_job(self, session: ClientSession, job: dict[str, Any]) -> None:
        """Run one job, then say that there is room."""
        try:
            await super().handle_job(session, job)
        finally:
            if self._worker.is_broken:
                self.kill_worker()
            self._room.set()

    async def _fetch_jobs(self, session: ClientSession, wanted: int) -> list[dict[str, Any]]:
        if not await self._worker.room.is_there():
            await self._pause(LOOK_SECONDS)
            return []
        jobs = await self._ask(self._job_pace, lambda: get_job(session, wanted))
        if jobs:
            self._job_pace.delay = 0.0
        fit: dict[str, dict[str, Any]] = {}
        for job in jobs or ():
            if _is_job(job):
                fit[job["id"]] = job  # given twice in one answer, it runs once
            else:
                logger.error("the platform gave something that is no job: %.200r", job)
        return list(fit.values())

    # Stopping jobs -------------------------------------------------------------------------------

    async def monitor_stop_signals(self, session: ClientSession) -> None:
        """Stop jobs that the platform takes back, until told to stop."""
        await self._unless_told_to_stop(super().monitor_stop_signals(session))

    async def _fetch_stop_signals(self, session: ClientSession) -> list[str]:
        """Ask until there is one: the SDK pauses for a second after each empty answer."""
        while self.is_alive():
            stops: list[str] | None = await self._ask(
                self._stop_pace, lambda: asyncio.wait_for(get_stop_signals(session), POLL_SECONDS)
            )
            if stops:
                return stops
        return []

    async def _answer(self, session: ClientSession, _: object, job: dict[str, Any]) -> None:
        """In place of the SDK's `rp_job.handle_job`."""
        await self._worker.serve(session, job)

    # Waiting -------------------------------------------------------------------------------------

    async def _ask(self, pace: Pace, question: Callable[[], Awaitable[T]]) -> T | None:
        """The platform's answer, or None if there is none or the worker is to stop."""
        await self._pause(pace.delay)
        if not self.is_alive():
            return None
        try:
            with pace:
                return await self._unless_told_to_stop(question())
        except TooManyRequests:
            pace.delay = BUSY_DELAY_SECONDS
            return None

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._shutdown_event.wait(), seconds)

    async def _unless_told_to_stop(self, awaited: Awaitable[T]) -> T | None:
        """Its result, or None if the worker is told to stop meanwhile."""
        asked = asyncio.ensure_future(awaited)
        told = asyncio.ensure_future(self._shutdown_event.wait())
        try:
            await asyncio.wait({asked, told}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                await asyncio.wait({asked}, timeout=LAST_ANSWER_SECONDS)
            return asked.result() if asked.done() else None
        finally:
            asked.cancel()
            told.cancel()
            await asyncio.gather(asked, told, return_exceptions=True)


def _is_job(job: object) -> bool:
    return isinstance(job, dict) and isinstance(job.get("id"), str) and "input" in job
