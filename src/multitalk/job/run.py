"""A job from its request to its delivered video."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from multitalk.engines.base import NO_REUSE, Engine, Reuse
from multitalk.job.progress import JobProgress, Progress, translate_crashes
from multitalk.job.sinks import VideoSink
from multitalk.job.stages import TalkStages
from multitalk.job.talk import Talk
from multitalk.job.workdir import job_directory
from multitalk.schema import TalkRequest
from multitalk.settings import Settings


@dataclass(frozen=True)
class JobContext:
    """What a job works with, from `job_context`.

    Attributes:
        engine: Renders; nothing else uses it meanwhile.
        settings: The operator's limits and places.
        job_id: Names the job in the log.
        directory: The job's own, removed when the job ends.
        progress: Its clock, and its way to stop.
    """

    engine: Engine
    settings: Settings
    job_id: str
    directory: Path
    progress: JobProgress


@contextmanager
def job_context(
    engine: Engine,
    settings: Settings,
    *,
    job_id: str,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: threading.Event | None = None,
) -> Iterator[JobContext]:
    """Begin a job: its clock runs until `settings.job_seconds`, and its directory is there.

    Args:
        engine: Renders; nothing else uses it meanwhile.
        settings: The operator's limits and places.
        job_id: Names the job in the log.
        on_progress: Called from this thread as each stage begins and whenever more is done.
        cancelled: Set it, from any thread, to stop before the engine's next step.

    Raises:
        RequestError: The caller can fix it.
        WorkerError: The operator can; a crash is an InternalError.
        Cancelled: `cancelled` was set.
    """
    stop = cancelled or threading.Event()
    progress = JobProgress(job_id, settings.job_seconds, on_progress, stop)
    with translate_crashes(job_id, progress), job_directory(settings.work_directory) as directory:
        yield JobContext(engine, settings, job_id, directory, progress)


def run(
    request: TalkRequest, context: JobContext, sink: VideoSink, *, reuse: Reuse = NO_REUSE
) -> Talk:
    """Render a request and deliver the video; errors are those of `job_context`.

    Args:
        request: What to render.
        context: Of this job only.
        sink: Where the video goes.
        reuse: Where this talk's windows are saved, and an earlier talk's are that the request
            names; by itself it has no effect.
    """
    sink.check()  # before the work, not after it
    with closing(sink):
        stages = TalkStages(
            request,
            context.engine,
            context.settings,
            context.directory,
            context.progress,
            reuse=reuse,
        )
        talk = stages.run(sink.path(context.directory), sink.on_fragment)
        return sink.deliver(talk, context.progress)
