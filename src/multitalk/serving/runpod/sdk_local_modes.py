"""One job without RunPod, which the SDK calls a local test: `python handler.py`.

The job is what `--test_input` holds, or test_input.json in the current directory, and whoever
starts it there has written it. So it may name files below that directory, and its video is kept.
"""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from multitalk.errors import EngineBroken, InvalidRequest
from multitalk.schema import read_json
from multitalk.schema.json_document import to_json
from multitalk.serving.queue import Outcome
from multitalk.serving.runpod import sdk
from multitalk.serving.runpod.runpod_source import lease_of, reply_of
from multitalk.serving.worker.loop import STUCK_SECONDS, EngineThread
from multitalk.serving.worker.run_job import run_job
from multitalk.settings import Settings

TEST_INPUT = Path("test_input.json")  # the SDK's name for it
VIDEO = Path("out", "test.mp4")

JobHandler = Callable[[Any], Awaitable[dict[str, Any]]]


def check_job() -> None:
    """See that there is a job, before an engine is loaded for it.

    Raises:
        SystemExit: With a sentence, because the SDK would end with a traceback, or later.
    """
    source, text = "--test_input", sdk.options().test_input
    if not text:
        source = str(TEST_INPUT)
        try:
            text = TEST_INPUT.read_text("utf-8")
        except FileNotFoundError:
            raise SystemExit(
                f"no job to try: {sdk.ON_RUNPOD} is not set, so this is not RunPod, and there is "
                f"no {TEST_INPUT} in {Path.cwd()}; go where one is, or give a job with --test_input"
            ) from None
        except (OSError, ValueError) as error:
            raise SystemExit(f"{source} cannot be read: {error}") from error
    try:
        job = read_json(text)
    except InvalidRequest as error:
        raise SystemExit(f"{source} is no job: {error}") from error
    if not isinstance(job, dict) or job.get("input") is None:
        raise SystemExit(f'{source} is no job; a job is {{"input": {{...}}}}, as in docs/api.md')


def with_own_files(settings: Settings) -> Settings:
    """The settings, with files below the current directory allowed."""
    return replace(settings, allowed_roots=(*settings.allowed_roots, Path.cwd()))


def run(handle: JobHandler) -> None:
    """Do the one job that was given, and say where its video is.

    Args:
        handle: Answers the job.
    """
    saver = VideoSaver(handle)
    try:
        sdk.run_local(saver.handle)
    finally:  # the SDK ends the process
        if saver.message:
            sys.stdout.write(f"{saver.message}\n")


class VideoSaver:
    """Saves the video of a local job, and has a message that says where.

    Args:
        handle: Answers the job.

    Attributes:
        message: Where the video is, once there is one.
    """

    def __init__(self, handle: JobHandler) -> None:
        self.message = ""
        self._handle = handle

    async def handle(self, job: Any) -> dict[str, Any]:
        """The answer, with the video in a file in place of its base64, which would fill the log."""
        reply = await self._handle(job)
        where = reply.get("video_url") or reply.get("video_path")
        if "video_base64" in reply:
            try:
                VIDEO.parent.mkdir(exist_ok=True)
                VIDEO.write_bytes(base64.b64decode(reply["video_base64"]))
            except OSError as error:
                self.message = f"The video is in the reply only; {VIDEO}: {error.strerror}"
                return reply
            del reply["video_base64"]
            where = reply["video_path"] = str(VIDEO)
        if where:
            self.message = f"Watch {where}"
        return reply


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
        work = self._engine.run(
            lambda engine: run_job(
                engine, lease, settings, None, on_progress=lambda _: None, cancelled=cancelled
            )
        )
        await asyncio.wait({work}, timeout=seconds + STUCK_SECONDS)
        cancelled.set()
        outcome = work.result().outcome if work.done() else None
        if outcome is None:
            outcome = Outcome.failed(EngineBroken("engine_stuck"), lease.job.locale)
        reply = reply_of(outcome)
        if outcome.error is not None:
            reply["error"] = outcome.error
        answer: dict[str, Any] = json.loads(to_json(reply))
        return answer
