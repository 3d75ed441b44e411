"""One job, end to end: the one place that knows the order of things.

    request -> sources fetched or spoken -> picture and voices loaded -> rendered chunk by chunk,
            written as it comes -> handed over

A job has a directory of its own, which is gone when the job is, however it ends. Doors call
`run_job`, which hands the video over as the request says, `stream_job`, which hands it over while
it is rendered, or `render_talk`, which leaves it where the caller says.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from multitalk.bucket import Bucket
from multitalk.delivery.deliver import check_set_up, deliver
from multitalk.engines.base import NO_REUSE, Engine, Reuse
from multitalk.job.progress import JobProgress, Progress, translate_crashes
from multitalk.job.stages import Talk, Work
from multitalk.job.workdir import job_directory, sweep
from multitalk.media.fragments import Fragment, FragmentReader
from multitalk.schema import TalkRequest, TalkResult
from multitalk.settings import Settings

__all__ = [
    "Fragment",
    "Progress",
    "Talk",
    "render_talk",
    "run_job",
    "stream_job",
    "sweep",
    "translate_crashes",
]


def run_job(
    request: TalkRequest,
    *,
    engine: Engine,
    settings: Settings,
    job_id: str,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
    bucket: Bucket | None = None,
    reuse: Reuse = NO_REUSE,
) -> TalkResult:
    """Render a request and hand the video over as it asks.

    Args:
        request: What to render.
        engine: What renders it; nothing else uses it meanwhile.
        settings: The operator's limits and places.
        job_id: Names the job in the log.
        on_progress: Called from this thread as each stage begins and whenever more is done.
        cancelled: Set it, from any thread, to stop before the engine's next step.
        bucket: The job's own, in place of the operator's (`parse_s3_config`).
        reuse: Where this talk's windows are saved, and an earlier talk's are that the request
            names; by itself it has no effect.

    Raises:
        RequestError: The caller can fix it.
        WorkerError: Ours; a crash is an InternalError.
        Cancelled: `cancelled` was set.
    """
    progress = JobProgress(job_id, settings.job_seconds, on_progress, cancelled)
    with translate_crashes(job_id, progress):  # before the work, not after it
        check_set_up(request.delivery, settings=settings, bucket=bucket)
    with translate_crashes(job_id, progress), job_directory(settings.work_directory) as directory:
        talk = Work(request, engine, settings, directory, progress, reuse=reuse).make(
            directory / "talk.mp4"
        )
        size = talk.video.stat().st_size
        with progress.stage("deliver", size):
            delivered = deliver(
                talk.video,
                delivery=request.delivery,
                settings=settings,
                job_id=job_id,
                bucket=bucket,
                locale=request.locale,
                on_bytes=lambda done: progress.report("deliver", done, size),
                cancelled=progress.is_cancelled,
            )
        return talk.result(delivered.place, delivered.warnings)


def stream_job(
    request: TalkRequest,
    *,
    engine: Engine,
    settings: Settings,
    job_id: str,
    on_progress: Callable[[Progress], None],
    on_piece: Callable[[Fragment], None],
    max_piece_bytes: int,
    cancelled: threading.Event,
    output: Path | None = None,
    reuse: Reuse = NO_REUSE,
) -> Talk:
    """Render a request and hand over the video, a fragmented MP4, while it is made.

    Other arguments and errors are those of `run_job`; `request.delivery` has no effect. `on_piece`
    is called from this thread with each second of the video, in order and `max_piece_bytes` large
    at most; what it raises ends the job. The video of the talk that is returned is gone, or, where
    there is an `output`, is that new file: the same video as an ordinary MP4.
    """
    with translate_crashes(job_id), job_directory(settings.work_directory) as directory:
        video = directory / "talk.mp4"
        reader = FragmentReader(video, max_bytes=max_piece_bytes)

        def watch(progress: Progress) -> None:
            on_progress(progress)
            for piece in reader.read():
                on_piece(piece)

        progress = JobProgress(job_id, settings.job_seconds, watch, cancelled)
        with translate_crashes(job_id, progress):
            talk = Work(request, engine, settings, directory, progress, reuse=reuse).make(
                video, fragmented=True, whole=output
            )
            for piece in reader.read():
                on_piece(piece)
        return talk


def render_talk(
    request: TalkRequest,
    output: Path,
    *,
    engine: Engine,
    settings: Settings,
    job_id: str,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
    reuse: Reuse = NO_REUSE,
) -> Talk:
    """Render a request to a file of the caller's, which appears when it is whole or not at all.

    Arguments and errors are those of `run_job`; `output` is a file in a directory that exists.
    """
    progress = JobProgress(job_id, settings.job_seconds, on_progress, cancelled)
    unfinished = output.with_name(f".multitalk-{secrets.token_hex(4)}.mp4")
    with translate_crashes(job_id, progress), job_directory(settings.work_directory) as directory:
        try:
            talk = Work(request, engine, settings, directory, progress, reuse=reuse).make(
                unfinished
            )
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    return replace(talk, video=output)
