"""RunPod's door: one job at a time from RunPod's queue, by RunPod's own SDK.

What the SDK does with an answer (1.12.0, `rp_job.run_job`): `error` is taken out and makes the job
FAILED; the rest becomes the job's `output`. So a customer reads the sentence in `error`, and
`code`, `field` and `details` in `output`. An exception would reach the customer as a traceback and
an answer that is not JSON would never arrive, so neither leaves this module.
"""

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import runpod
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules.rp_http import send_result
from runpod.serverless.modules.rp_logger import RunPodLogger

from multitalk.engines.base import Engine
from multitalk.errors import MultiTalkError
from multitalk.job import Progress, guarded, run_job
from multitalk.registry import load_engine
from multitalk.schema import ErrorReply, parse_request, wanted_locale
from multitalk.settings import SettingError, Settings

PROGRESS_INTERVAL_SECONDS = 1.0
# How long a result waits for progress that is on its way, so that progress never follows it.
PROGRESS_DRAIN_SECONDS = 5.0


def main() -> None:
    """Read the settings, load the engine, then serve until RunPod says stop."""
    try:
        settings = Settings.from_env()
    except SettingError as error:
        raise SystemExit(str(error)) from error
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    try:
        engine = load_engine(settings.engine, weights=settings.weights)
    except MultiTalkError as error:
        raise SystemExit(str(error)) from error
    serve(engine, settings)


def serve(engine: Engine, settings: Settings) -> None:
    """Serve RunPod's queue with an engine that is ready."""
    if not {"RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"} & os.environ.keys():
        RunPodLogger().set_level("INFO")  # the SDK's default, DEBUG, logs whole videos
    runpod.serverless.start({"handler": Worker(engine, settings).handle})


class Worker:
    """The handler of jobs, holding what is loaded once."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings

    async def handle(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one job of RunPod's.

        Raises:
            asyncio.CancelledError: RunPod took the job back; the work has ended.
        """
        cancelled = threading.Event()
        async with ProgressReporter(job) as reporter:
            work = asyncio.get_running_loop().run_in_executor(
                None, self._answer, job, reporter, cancelled
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                reporter.silence()
                await asyncio.wait({work})
                raise

    def _answer(
        self, job: Mapping[str, Any], reporter: "ProgressReporter", cancelled: threading.Event
    ) -> dict[str, Any]:
        try:
            with guarded(job["id"]):
                result = run_job(
                    parse_request(job["input"], settings=self._settings),
                    engine=self._engine,
                    settings=self._settings,
                    job_id=job["id"],
                    on_progress=reporter.update,
                    cancelled=cancelled,
                )
                return _as_json(result.reply())
        except MultiTalkError as error:
            return _as_json(ErrorReply.of(error, wanted_locale(job["input"])).reply())


class ProgressReporter:
    """Posts a job's latest progress, at most once a second and never after its result."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._latest: Progress | None = None
        self._something_new = asyncio.Event()
        self._silent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def update(self, progress: Progress) -> None:
        """Note how far the job is; from any thread."""
        self._latest = progress
        self._loop.call_soon_threadsafe(self._something_new.set)

    def silence(self) -> None:
        """Post nothing from now on."""
        self._silent.set()
        self._something_new.set()

    async def __aenter__(self) -> "ProgressReporter":
        if "RUNPOD_WEBHOOK_POST_OUTPUT" in os.environ:  # not so in a local test
            self._task = asyncio.create_task(self._post())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.silence()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=PROGRESS_DRAIN_SECONDS)
            self._task.cancel()

    async def _post(self) -> None:
        async with AsyncClientSession() as session:
            while True:
                await self._something_new.wait()
                self._something_new.clear()
                latest = self._latest
                if latest is None or self._silent.is_set():
                    return
                update = {"stage": latest.stage, "done": latest.done, "total": latest.total}
                await send_result(session, {"status": "IN_PROGRESS", "output": update}, self._job)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._silent.wait(), PROGRESS_INTERVAL_SECONDS)


def _as_json(answer: Mapping[str, object]) -> dict[str, Any]:
    """The same answer, certain to reach the customer: text that has no encoding is replaced."""
    text = json.dumps(answer, ensure_ascii=False, allow_nan=False)
    clean: dict[str, Any] = json.loads(text.encode("utf-8", "replace"))
    return clean
