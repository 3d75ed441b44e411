"""The worker's process: settings, engine, then jobs until the platform says stop."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from multitalk.errors import EngineBroken, MultiTalkError
from multitalk.job import sweep
from multitalk.provenance import load_credential
from multitalk.registry import load_engine
from multitalk.schema.json_document import to_json
from multitalk.serving.runpod import sdk, trial
from multitalk.serving.runpod.source import lease_of, reply_of
from multitalk.serving.worker.loop import STUCK_SECONDS, EngineThread, WorkerLimits
from multitalk.serving.worker.process import serve as serve_source
from multitalk.serving.worker.task import Task, failure_of
from multitalk.settings import SettingError, Settings


def main() -> None:
    """Read the settings, load the engine, then serve until the platform says stop.

    Where RunPod is not, one job is done instead: see `trial`.
    """
    sdk.quiet_log()
    try:
        settings = Settings.from_env()
    except SettingError as error:
        sdk.end_unfit("settings", error)
    is_trial = sdk.is_trial()
    if is_trial:
        trial.check_job()
        settings = trial.with_own_files(settings)
    # In place of the SDK's, which is there since it was imported
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=settings.log_level, format=form, force=True)
    try:
        load_credential(settings)
    except MultiTalkError as error:
        sdk.end_unfit("provenance", error)
    engine = EngineThread(lambda: load_engine(settings.engine, settings=settings))
    try:
        asyncio.run(engine.load())
    except MultiTalkError as error:
        sdk.end_unfit("engine_loads", error)
    if is_trial:
        trial.run(LocalHandler(engine, settings).handle)
    elif sdk.is_server():
        sdk.run_local(LocalHandler(engine, settings).handle)
    else:
        sys.exit(serve(engine, settings, WorkerLimits()))


def serve(engine: EngineThread, settings: Settings, limits: WorkerLimits) -> int:
    """Serve RunPod's queue with an engine that is loaded; the exit code."""
    sdk.quiet_log()
    sweep(settings.work_directory)
    sdk.check_fitness(engine, settings)
    sdk.start_heartbeat()
    return serve_source(
        lambda: sdk.platform_source(is_streamed=settings.stream), engine, settings, limits
    )


class LocalHandler:
    """The SDK's handler for its local modes: `--test_input` and `--rp_serve_api`."""

    def __init__(self, engine: EngineThread, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings

    async def handle(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Do a job; its reply, which has `error` if it failed."""
        lease = lease_of(job, is_stream=False)
        seconds = min(self._settings.job_seconds, lease.submission.policy.execution_seconds)
        cancelled = threading.Event()
        settings = replace(self._settings, job_seconds=seconds)
        task = Task(lease, settings, None, on_progress=lambda _: None, cancelled=cancelled)
        work = self._engine.run(task.do)
        await asyncio.wait({work}, timeout=seconds + STUCK_SECONDS)
        cancelled.set()
        outcome = work.result() if work.done() else None
        if outcome is None:
            outcome = failure_of(EngineBroken("engine_stuck"), lease.submission)
        reply = reply_of(outcome)
        if outcome.error is not None:
            reply["error"] = outcome.error
        answer: dict[str, Any] = json.loads(to_json(reply))
        return answer
