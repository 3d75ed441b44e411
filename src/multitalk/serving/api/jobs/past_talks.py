"""Finished talks, and the real-time factor that they show."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multitalk.errors import NotFound
from multitalk.schema import JobStatus
from multitalk.serving.queue import JobQueue

FINISHED_JOBS = 50  # that are considered


@dataclass(frozen=True)
class PastTalk:
    """A finished talk.

    Attributes:
        job_id: Its job.
        engine: That rendered it.
        seconds: Its length.
        execution_seconds: Time to render it.
    """

    job_id: str
    engine: str
    seconds: float
    execution_seconds: float


async def past_talks(queue: JobQueue, now: float) -> list[PastTalk]:
    """The latest finished talks in a queue; `now` is in seconds since 1970."""
    talks = []
    for job in await queue.jobs(status=JobStatus.COMPLETED, limit=FINISHED_JOBS):
        execution = job.execution_seconds(now)
        if execution is None or not isinstance(job.output, Mapping):
            continue
        engine, seconds = job.output.get("engine"), job.output.get("duration_seconds")
        if isinstance(engine, str) and isinstance(seconds, int | float) and seconds > 0:
            talks.append(PastTalk(job.id, engine, seconds, execution))
    return talks


async def quality_of(queue: JobQueue, job_id: str) -> str | None:
    """The `quality` of a job; None where the job is gone, or began with an earlier job's windows.

    Such a job renders only the rest, so its real-time factor does not apply to other talks.
    """
    try:
        given = (await queue.submission(job_id)).input
    except NotFound:
        return None
    if isinstance(given, Mapping) and given.get("continue_from") is not None:
        return None
    asked = given.get("quality") if isinstance(given, Mapping) else None
    return asked if isinstance(asked, str) else "standard"


@dataclass(frozen=True)
class RealTimeFactor:
    """Seconds of work for a second of talk, of an engine's latest talks.

    Attributes:
        talks: Their number.
        median: Of their factors.
        slowest: The 90th percentile.
    """

    talks: int
    median: float
    slowest: float


def real_time_factor(talk_times: Sequence[tuple[float, float]]) -> RealTimeFactor | None:
    """The factor of talks given as (seconds of talk, seconds of work); None without talks."""
    ratios = sorted(work / talk for talk, work in talk_times)
    if not ratios:
        return None
    return RealTimeFactor(
        len(ratios), statistics.median(ratios), ratios[min(len(ratios) - 1, len(ratios) * 9 // 10)]
    )
