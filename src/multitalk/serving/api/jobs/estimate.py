"""Estimates of a talk, from finished ones: how long it will be, how long it takes, its price."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multitalk.errors import NotFound
from multitalk.messages import sentence
from multitalk.schema import JobStatus, TalkRequest, parse_request
from multitalk.schema.sources import is_upload, named_sources
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.database import Database
from multitalk.serving.api.jobs.submissions import Submissions
from multitalk.serving.api.jobs.talk_length import TalkLengths
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.queue import JobQueue
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.settings import Settings
from multitalk.timebase import FPS

FINISHED_JOBS = 50  # of a queue, that are considered
PAST_TALKS = 20  # the last ones, of the same engine and quality, that an estimate is made from
CENTS = 4  # decimals of a price
TalkTimes = Sequence[tuple[float, float]]  # of past talks: seconds of talk, seconds of work


class Estimator:
    """Estimates jobs by the talks that were rendered before.

    Args:
        config: Its price of an hour.
        settings: Of all entry points.
        engine: The engine that the workers load.
        queue: Of finished and waiting jobs.
        database: Of the times of past talks.
        uploads: Files that a job may name.
        submissions: Finds an earlier job that a talk continues.
        lengths: Measures talks.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        config: ServeConfig,
        settings: Settings,
        engine: str,
        *,
        queue: JobQueue,
        database: Database,
        uploads: UploadStore,
        submissions: Submissions,
        lengths: TalkLengths,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._settings = settings
        self._engine = engine
        self._queue = queue
        self._database = database
        self._uploads = uploads
        self._submissions = submissions
        self._lengths = lengths
        self._clock = clock

    async def estimate(self, ticket: Ticket, given: Any, *, owner: str) -> dict[str, Any]:
        """The body of `/estimate`.

        Args:
            ticket: Of the sandbox's scheduler.
            given: A job's `input`.
            owner: Of the uploads that it may name.

        Raises:
            RequestError: The input is invalid, or names an earlier job that does not exist.
        """
        uploads = self._upload_paths(given, owner=owner)
        request = parse_request(given, settings=self._settings)
        kept = await self._kept_seconds(request, owner=owner)
        talk, warnings = await self._lengths.measure(ticket, request, uploads)
        engine = self._engine if request.engine == "auto" else request.engine
        past = await self._past_times(engine, request.quality)
        factor = real_time_factor(past)
        if engine == "diffusion" and request.resolution == "720p":
            warnings.append(sentence("large_video_costs", request.locale))
        work = slowest = None
        if factor is None:
            warnings.append(sentence("pace_unknown", request.locale))
        elif talk is not None:
            rendered = max(0.0, talk - kept)
            work, slowest = rendered * factor.median, rendered * factor.slowest
        if self._config.price_per_hour is None:
            warnings.append(sentence("price_unknown", request.locale))
        price = self._price(work)
        return {
            "engine": engine,
            "talk_seconds": _rounded(talk),
            "work_seconds": _rounded(work),
            "work_seconds_at_most": _rounded(slowest),
            "waiting_seconds": _rounded(await self._waiting_seconds(engine, past)),
            "price": price,
            "currency": self._config.currency if price is not None else None,
            "past_talks": factor.talks if factor else 0,
            "warnings": warnings,
        }

    def _price(self, work_seconds: float | None) -> float | None:
        """The price of some work, if both are known."""
        if work_seconds is None or self._config.price_per_hour is None:
            return None
        return round(work_seconds / 3600 * self._config.price_per_hour, CENTS)

    async def _past_times(self, engine: str, quality: str) -> TalkTimes:
        """The times of past talks of an engine and a quality."""
        return self._database.talk_times(engine, quality=quality, limit=PAST_TALKS) or [
            (talk.seconds, talk.execution_seconds)  # until they are in the database
            for talk in await past_talks(self._queue, self._clock())
            if talk.engine == engine and await quality_of(self._queue, talk.job_id) == quality
        ]

    async def _kept_seconds(self, request: TalkRequest, *, owner: str) -> float:
        """Seconds of a talk that an earlier job has rendered; decoding them is not counted."""
        stated = request.continue_from
        if stated is None:
            return 0.0
        ends = await self._submissions.earlier_windows(stated.job, stated.windows, owner=owner)
        return ends[stated.windows - 1] / FPS

    def _upload_paths(self, given: Any, *, owner: str) -> dict[str, Path]:
        """The files of an input's uploads by field."""
        if not isinstance(given, dict):
            return {}
        return {
            field: self._uploads.path(source, field=field, owner=owner)
            for field, source in named_sources(given)
            if is_upload(source)
        }

    async def _waiting_seconds(self, engine: str, past: TalkTimes) -> float | None:
        """Seconds that the jobs ahead will take, estimated from the mean of past ones."""
        of_all = self._database.talk_times(engine, limit=PAST_TALKS) or past
        if not of_all:
            return None
        counts, workers = await self._queue.load()
        before = counts.in_queue + counts.in_progress
        mean = statistics.fmean(work for _, work in of_all)
        return before * mean / len(workers) if workers else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


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
