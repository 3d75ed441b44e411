"""A job's progress, timings, deadline, cancellation, crashes and directory."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from multitalk.disk import OTHER_DISKS, find_disk_error, work_disk_error
from multitalk.engines.base import Engine
from multitalk.errors import (
    Cancelled,
    DeadlineExceeded,
    EngineBroken,
    InternalError,
    MultiTalkError,
    Stage,
)
from multitalk.job.workdir import job_directory
from multitalk.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Progress of a job.

    Attributes:
        stage: The current stage.
        done: Frames while rendering, bytes while delivering, else files or texts.
        total: In the same unit.
    """

    stage: Stage
    done: int
    total: int


class JobProgress:
    """Times a job's stages, reports its progress, and stops it when it must stop.

    Attributes:
        timings: Seconds by stage, of those that are over.
        stage_now: The current stage, or the one that failed.
    """

    def __init__(
        self,
        job_id: str,
        seconds: float,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> None:
        self.timings: dict[str, float] = {}
        self.stage_now: Stage | None = None
        self._cancelled = cancelled
        self._job_id = job_id
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._on_progress = on_progress
        self._last: Progress | None = None
        self._stage_began = 0.0

    def report(self, stage: Stage, done: float, total: int) -> None:
        """Report progress if there is any, unless the job must stop here.

        Raises:
            Cancelled: The job was cancelled.
            DeadlineExceeded: The job took longer than it may.
        """
        self.check_cancelled()
        last = self._last
        if last is None or last.stage != stage or int(done) > last.done:
            self._last = Progress(stage, int(done), total)
            self._on_progress(self._last)

    def check_cancelled(self) -> None:
        """Return, unless the job must stop here; from any thread.

        Raises:
            Cancelled: The job was cancelled.
            DeadlineExceeded: The job took longer than it may.
        """
        if self.poll_cancelled():
            raise Cancelled

    def poll_cancelled(self) -> bool:
        """Whether the job was cancelled; called repeatedly while waiting.

        Raises:
            DeadlineExceeded: The job took longer than it may.
        """
        if time.monotonic() > self._deadline:
            raise DeadlineExceeded("deadline_exceeded", limit=self._seconds)
        return self._cancelled.is_set()

    @contextmanager
    def stage(self, stage: Stage, total: int) -> Iterator[None]:
        """Time a stage and log its end."""
        self.stage_now = stage
        self.report(stage, 0, total)
        self._stage_began = time.monotonic()
        yield
        self.stage_now = None
        self.timings[stage] = round(time.monotonic() - self._stage_began, 3)
        logger.info("job %s: %s took %.2f s", self._job_id, stage, self.timings[stage])

    def log_since_stage(self, what: str) -> None:
        """Log an event, and how long after its stage began it was."""
        seconds = time.monotonic() - self._stage_began
        logger.info("job %s: %s after %.2f s", self._job_id, what, seconds)


@contextmanager
def translate_crashes(job_id: str, progress: JobProgress | None = None) -> Iterator[None]:
    """Translate a crash into one InternalError and log its traceback; nothing else does.

    The error has the job's id, and the stage that it was at.

    Raises:
        DiskUnusable: A disk was full, read-only or broken, whatever error was made of that.
        EngineBroken: There was no memory left.
        InternalError: Anything else that is no MultiTalkError was raised.
    """
    try:
        yield
    except Exception as raised:
        error = _as_error(raised, job_id)
        error.set_context(progress.stage_now if progress is not None else None, job_id)
        if error is raised:
            raise
        raise error from raised


def _as_error(raised: Exception, job_id: str) -> MultiTalkError:
    """An exception as an error for the caller."""
    refusal = None if isinstance(raised, OTHER_DISKS) else find_disk_error(raised)
    if refusal is not None:
        logger.error("job %s: a disk takes nothing more: %s", job_id, refusal)
        return work_disk_error(refusal.errno)
    if isinstance(raised, MultiTalkError):
        return raised
    if isinstance(raised, MemoryError):
        logger.exception("job %s ran out of memory", job_id)
        return EngineBroken("engine_out_of_memory")
    logger.exception("job %s crashed", job_id)
    return InternalError("internal_error", job_id=job_id)


@dataclass(frozen=True)
class JobContext:
    """The engine, settings, directory and progress of a job, from `job_context`.

    Attributes:
        engine: Renders; nothing else uses it meanwhile.
        settings: The operator's limits and places.
        job_id: Names the job in the log.
        directory: The job's own, removed when the job ends.
        progress: Its clock, and its way to stop.
        fetch_upload: Brings a file that was sent ahead of the job, by its name, into `directory`;
            None: a source `upload:NAME` is read as a path.
    """

    engine: Engine
    settings: Settings
    job_id: str
    directory: Path
    progress: JobProgress
    fetch_upload: Callable[[str], Path] | None = None


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
