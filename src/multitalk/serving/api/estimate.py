"""What a job will take, told before it is sent; and what is not known, said so."""

import statistics
from pathlib import Path
from typing import Any

from multitalk.messages import sentence
from multitalk.schema import TalkRequest, parse_request
from multitalk.serving.api.lengths import talk_seconds
from multitalk.serving.api.paces import finished_talks, pace_of, quality_of
from multitalk.serving.api.sending import earlier_windows
from multitalk.serving.api.server import Server
from multitalk.serving.api.uploads import is_upload, named_sources
from multitalk.serving.reader.turns import Turn
from multitalk.timebase import FPS

PAST_TALKS = 20  # the last ones, of the same engine and quality, that an estimate is made from
CENTS = 4  # decimals of a price


async def estimate(server: Server, turn: Turn, given: Any, *, owner: str) -> dict[str, Any]:
    """The body of `/estimate`.

    Args:
        server: Its settings, ledger and queue.
        turn: An admitted question.
        given: A job's input.
        owner: Whose uploads it may name.

    Raises:
        RequestError: The input is wrong, as the worker would say, or names no earlier job.
    """
    uploads = _upload_paths(server, given, owner=owner)
    request = parse_request(given, settings=server.settings)
    kept = await _kept_seconds(server, request, owner=owner)
    talk, warnings = await talk_seconds(server, turn, request, uploads)
    engine = server.engine if request.engine == "auto" else request.engine
    past = server.ledger.paces(engine, quality=request.quality, limit=PAST_TALKS) or [
        (talk.seconds, talk.execution_seconds)  # the first ones, until they are noted
        for talk in await finished_talks(server)
        if talk.engine == engine and await quality_of(server, talk.job_id) == request.quality
    ]
    pace = pace_of(past)
    if engine == "diffusion" and request.resolution == "720p":
        warnings.append(sentence("large_video_costs", request.locale))
    work = slowest = price = waiting = None
    if pace is None:
        warnings.append(sentence("pace_unknown", request.locale))
    elif talk is not None:
        made = max(0.0, talk - kept)
        work, slowest = made * pace.median, made * pace.slowest
    if of_all := server.ledger.paces(engine, limit=PAST_TALKS) or past:
        waiting = await _waiting_seconds(server, [work for _, work in of_all])
    if server.config.price_per_hour is None:
        warnings.append(sentence("price_unknown", request.locale))
    elif work is not None:
        price = round(work / 3600 * server.config.price_per_hour, CENTS)
    return {
        "engine": engine,
        "talk_seconds": _rounded(talk),
        "work_seconds": _rounded(work),
        "work_seconds_at_most": _rounded(slowest),
        "waiting_seconds": _rounded(waiting),
        "price": price,
        "currency": server.config.currency if price is not None else None,
        "past_talks": pace.talks if pace else 0,
        "warnings": warnings,
    }


async def _kept_seconds(server: Server, request: TalkRequest, *, owner: str) -> float:
    """How much of a talk an earlier job has made: its decoding, which is left, is not counted."""
    said = request.continue_from
    if said is None:
        return 0.0
    ends = await earlier_windows(server, said.job, said.windows, owner=owner)
    return ends[said.windows - 1] / FPS


def _upload_paths(server: Server, given: Any, *, owner: str) -> dict[str, Path]:
    """The files of an input's uploads, by field."""
    if not isinstance(given, dict):
        return {}
    return {
        field: server.uploads.path(source, field=field, owner=owner, now=server.clock())
        for field, source in named_sources(given)
        if is_upload(source)
    }


async def _waiting_seconds(server: Server, past: list[float]) -> float | None:
    """How long the jobs that are there already will keep the workers, as long as past ones did."""
    counts, workers = await server.queue.counts(), await server.queue.workers()
    before = counts.in_queue + counts.in_progress
    return before * statistics.fmean(past) / len(workers) if workers else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
