"""What is to be done about one job, in the engine's thread, and what it answers."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from multitalk.engines.base import Engine
from multitalk.errors import MultiTalkError
from multitalk.job import DeliverySink, Progress, job_context, run
from multitalk.schema import ErrorReply, parse_request, parse_s3_config, wanted_locale
from multitalk.serving.runpod.stream import StreamSink
from multitalk.settings import Settings

Job = Mapping[str, Any]  # as the platform gives it: id, input, and perhaps policy and s3Config


class Task:
    """One job.

    Args:
        job: As the platform gives it.
        settings: The operator's limits and places.
        on_progress: Told how far it is, from the engine's thread.

    Attributes:
        job_id: The platform's.
        settings: With the job's own deadline, where that is sooner.
        cancelled: Set it to stop the work.
        sink: Where the video goes, if it is streamed.
    """

    def __init__(
        self, job: Job, settings: Settings, on_progress: Callable[[Progress], None]
    ) -> None:
        self.job_id: str = job["id"]
        self.settings = _with_deadline(settings, job)
        self.cancelled = threading.Event()
        self.sink: StreamSink | None = None
        self._job = job
        self._on_progress = on_progress

    def do(self, engine: Engine) -> dict[str, Any]:
        """Render; the reply. What is streamed has none but its pieces.

        Raises:
            MultiTalkError: As `job_context`.
        """
        with job_context(
            engine,
            self.settings,
            job_id=self.job_id,
            on_progress=self._on_progress,
            cancelled=self.cancelled,
        ) as context:
            request = parse_request(self._job["input"], settings=self.settings)
            bucket = parse_s3_config(self._job.get("s3Config"), settings=self.settings)
            if self.sink is not None:
                run(request, context, self.sink)
                return {}
            sink = DeliverySink(
                request.delivery, self.settings, self.job_id, bucket=bucket, locale=request.locale
            )
            return run(request, context, sink).reply()

    def failure(self, error: MultiTalkError) -> dict[str, Any]:
        """The reply for a job that did not work."""
        return ErrorReply.of(error, wanted_locale(self._job["input"])).reply()


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
