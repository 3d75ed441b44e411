"""How long talks took, in their own length: what estimates and metrics are made from."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multitalk.errors import NotFound
from multitalk.schema import JobStatus
from multitalk.serving.api.server import Server

FINISHED_JOBS = 50  # that one look takes in


@dataclass(frozen=True)
class FinishedTalk:
    """A talk that was made.

    Attributes:
        job_id: Of its job.
        engine: That made it.
        seconds: Its length.
        execution_seconds: What it took to make.
    """

    job_id: str
    engine: str
    seconds: float
    execution_seconds: float


async def finished_talks(server: Server) -> list[FinishedTalk]:
    """The last talks in the queue that were made."""
    talks = []
    for job in await server.queue.jobs(status=JobStatus.COMPLETED, limit=FINISHED_JOBS):
        execution = job.execution_seconds(server.clock())
        if execution is None or not isinstance(job.output, Mapping):
            continue
        engine, seconds = job.output.get("engine"), job.output.get("duration_seconds")
        if isinstance(engine, str) and isinstance(seconds, int | float) and seconds > 0:
            talks.append(FinishedTalk(job.id, engine, seconds, execution))
    return talks


async def quality_of(server: Server, job_id: str) -> str | None:
    """The quality that a job asked for; None where the job is forgotten.

    None, too, where it began with an earlier job's windows: its pace is no other talk's.
    """
    try:
        given = (await server.queue.submission(job_id)).input
    except NotFound:
        return None
    if isinstance(given, Mapping) and given.get("continue_from") is not None:
        return None
    asked = given.get("quality") if isinstance(given, Mapping) else None
    return asked if isinstance(asked, str) else "standard"


@dataclass(frozen=True)
class Pace:
    """How long an engine's last talks took, in their own length.

    Attributes:
        talks: How many there were.
        median: Seconds of work for a second of talk.
        slowest: Of the slowest tenth.
    """

    talks: int
    median: float
    slowest: float


def pace_of(paces: Sequence[tuple[float, float]]) -> Pace | None:
    """The pace of talks given as (seconds of talk, seconds of work); None where there are none."""
    ratios = sorted(work / talk for talk, work in paces)
    if not ratios:
        return None
    return Pace(
        len(ratios), statistics.median(ratios), ratios[min(len(ratios) - 1, len(ratios) * 9 // 10)]
    )
