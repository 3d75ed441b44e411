"""Whole jobs in a test, with the real stages and any engine."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multitalk.bucket import Bucket
from multitalk.engines.base import Engine
from multitalk.job import (
    DeliverySink,
    FileSink,
    FinishedTalk,
    Progress,
    VideoSink,
    job_context,
    run,
)
from multitalk.schema import TalkResult, parse_request
from multitalk.settings import Settings


def run_into(
    sink: VideoSink,
    given: Mapping[str, Any],
    engine: Engine,
    settings: Settings,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: threading.Event | None = None,
) -> FinishedTalk:
    """A job's input, rendered into a sink."""
    request = parse_request(given, settings=settings)
    with job_context(
        engine, settings, job_id="job-1", on_progress=on_progress, cancelled=cancelled
    ) as context:
        return run(request, context, sink)


def render_to(output: Path, *given: Any, **more: Any) -> FinishedTalk:
    """A job's video in a file."""
    return run_into(FileSink(output), *given, **more)


def deliver_job(
    given: Mapping[str, Any],
    engine: Engine,
    settings: Settings,
    *,
    bucket: Bucket | None = None,
    **more: Any,
) -> TalkResult:
    """A job's answer, its video delivered as it asks."""
    request = parse_request(given, settings=settings)
    sink = DeliverySink(request.delivery, settings, "job-1", bucket=bucket, locale=request.locale)
    return run_into(sink, given, engine, settings, **more).result()
