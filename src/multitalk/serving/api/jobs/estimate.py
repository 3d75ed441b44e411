"""The body of `/estimate`: how long a talk will be, how long it takes and what it costs."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from multitalk.messages import sentence
from multitalk.schema import TalkRequest, parse_request
from multitalk.schema.sources import is_upload, named_sources
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.database import Database
from multitalk.serving.api.jobs.past_talks import past_talks, quality_of, real_time_factor
from multitalk.serving.api.jobs.submissions import Submissions
from multitalk.serving.api.jobs.talk_length import TalkLengths
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.queue import JobQueue
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.settings import Settings
from multitalk.timebase import FPS

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
        work = slowest = price = None
        if factor is None:
            warnings.append(sentence("pace_unknown", request.locale))
        elif talk is not None:
            rendered = max(0.0, talk - kept)
            work, slowest = rendered * factor.median, rendered * factor.slowest
        if self._config.price_per_hour is None:
            warnings.append(sentence("price_unknown", request.locale))
        elif work is not None:
            price = round(work / 3600 * self._config.price_per_hour, CENTS)
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
        counts, workers = await self._queue.counts(), await self._queue.workers()
        before = counts.in_queue + counts.in_progress
        mean = statistics.fmean(work for _, work in of_all)
        return before * mean / len(workers) if workers else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
