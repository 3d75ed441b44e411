"""The body of `/estimate`: how long a talk will be, how long it takes and what it costs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multitalk.errors import NotFound
from multitalk.inputs.source import Url, parse_source
from multitalk.job.voice_checks import check_talk_seconds
from multitalk.messages import Notice, sentence
from multitalk.schema import JobStatus, SpokenText, TalkRequest, parse_request
from multitalk.schema.request import has_service_voice, is_service_voice
from multitalk.schema.sources import is_upload, named_sources, voice_field
from multitalk.serving.api.dependencies import Server
from multitalk.serving.api.submission import earlier_windows
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.serving.sandbox.ipc import notices_from_json, seconds_from_json
from multitalk.serving.sandbox.pool import limits_for
from multitalk.timebase import CLIP_FRAMES, FPS

PAST_TALKS = 20  # the last ones, of the same engine and quality, that an estimate is made from
CENTS = 4  # decimals of a price
TalkLength = tuple[float | None, list[str]]  # seconds, warnings
FINISHED_JOBS = 50  # that are considered


async def estimate(server: Server, ticket: Ticket, given: Any, *, owner: str) -> dict[str, Any]:
    """The body of `/estimate`.

    Args:
        server: Its settings, database and queue.
        ticket: Of the sandbox's scheduler.
        given: A job's `input`.
        owner: Of the uploads that it may name.

    Raises:
        RequestError: The input is invalid, or names an earlier job that does not exist.
    """
    uploads = _upload_paths(server, given, owner=owner)
    request = parse_request(given, settings=server.settings)
    kept = await _kept_seconds(server, request, owner=owner)
    talk, warnings = await talk_seconds(server, ticket, request, uploads)
    engine = server.engine if request.engine == "auto" else request.engine
    past = server.database.talk_times(engine, quality=request.quality, limit=PAST_TALKS) or [
        (talk.seconds, talk.execution_seconds)  # until they are in the database
        for talk in await past_talks(server)
        if talk.engine == engine and await quality_of(server, talk.job_id) == request.quality
    ]
    factor = real_time_factor(past)
    if engine == "diffusion" and request.resolution == "720p":
        warnings.append(sentence("large_video_costs", request.locale))
    work = slowest = price = waiting = None
    if factor is None:
        warnings.append(sentence("pace_unknown", request.locale))
    elif talk is not None:
        rendered = max(0.0, talk - kept)
        work, slowest = rendered * factor.median, rendered * factor.slowest
    if of_all := server.database.talk_times(engine, limit=PAST_TALKS) or past:
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
        "past_talks": factor.talks if factor else 0,
        "warnings": warnings,
    }


async def _kept_seconds(server: Server, request: TalkRequest, *, owner: str) -> float:
    """Seconds of a talk that an earlier job has rendered; decoding them again is not counted."""
    stated = request.continue_from
    if stated is None:
        return 0.0
    ends = await earlier_windows(server, stated.job, stated.windows, owner=owner)
    return ends[stated.windows - 1] / FPS


def _upload_paths(server: Server, given: Any, *, owner: str) -> dict[str, Path]:
    """The files of an input's uploads by field."""
    if not isinstance(given, dict):
        return {}
    return {
        field: server.uploads.path(source, field=field, owner=owner, now=server.clock())
        for field, source in named_sources(given)
        if is_upload(source)
    }


async def _waiting_seconds(server: Server, past: list[float]) -> float | None:
    """How long the jobs ahead will take, estimated from the mean of past ones."""
    counts, workers = await server.queue.counts(), await server.queue.workers()
    before = counts.in_queue + counts.in_progress
    return before * statistics.fmean(past) / len(workers) if workers else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


async def talk_seconds(
    server: Server, ticket: Ticket, request: TalkRequest, uploads: Mapping[str, Path]
) -> TalkLength:
    """Length of the talk in seconds, or None; and warnings: why it is unknown or inexact.

    Args:
        server: Runs the tasks that measure.
        ticket: Of the sandbox's scheduler.
        request: The job.
        uploads: Files of the fields that name an upload.

    Raises:
        RequestError: A voice is invalid, or decoding it exceeds the limits.
    """
    voices = {voice_field(name): voice for name, voice in request.audio_paths.items()}
    recordings = {field: voice for field, voice in voices.items() if isinstance(voice, str)}
    for field, source in recordings.items():
        if field not in uploads and isinstance(parse_source(source, field=field), Url):
            return None, [f"{field}: " + sentence("duration_of_url", request.locale)]
    lengths: list[float] = []
    warnings: list[str] = []
    if recordings:
        for field, found in (await _recordings(server, ticket, recordings, uploads)).items():
            if (seconds := seconds_from_json(found)) is None:
                return None, [f"{field}: " + sentence("duration_unreadable", request.locale)]
            lengths.append(seconds)
    texts = {
        field: [voice] if isinstance(voice, SpokenText) else voice
        for field, voice in voices.items()
        if not isinstance(voice, str)
    }
    if texts:
        outside = [field for field, spoken in texts.items() if has_service_voice(spoken)]
        for field, found in (await _texts(server, ticket, texts, outside)).items():
            if (seconds := seconds_from_json(found["seconds"])) is None:
                return None, [f"{field}: " + sentence("duration_of_service", request.locale)]
            notices = notices_from_json(found["notices"])
            if field in outside:
                notices.insert(0, Notice("duration_guessed", {"field": field}))
            warnings += [sentence(one.key, request.locale, **one.parameters) for one in notices]
            lengths.append(seconds)
    total = sum(lengths) if request.speaker_order == "sequential" else max(lengths)
    check_talk_seconds(total, list(request.audio_paths))
    return (min(total, CLIP_FRAMES / FPS) if request.mode == "clip" else total), warnings


async def _recordings(
    server: Server, ticket: Ticket, recordings: Mapping[str, str], uploads: Mapping[str, Path]
) -> Mapping[str, Any]:
    settings = server.settings
    given = {
        "recordings": [
            {"field": field, "path": str(uploads[field]), "source": None}
            if field in uploads
            else {"field": field, "path": None, "source": source}
            for field, source in recordings.items()
        ],
        "allowed_roots": [str(root) for root in settings.allowed_roots],
        "max_audio_bytes": settings.max_audio_bytes,
        "max_speech_seconds": settings.max_speech_seconds,
    }
    return await _asked(
        server, ticket, "recordings", given, [*uploads.values(), *settings.allowed_roots]
    )


async def _texts(
    server: Server, ticket: Ticket, texts: Mapping[str, list[SpokenText]], outside: list[str]
) -> Mapping[str, Any]:
    """A speech service may cost money, so the synthesizer speaks in its place."""

    def own(text: SpokenText) -> dict[str, Any]:
        stated = text.model_dump(exclude_unset=True)
        if text.voice is not None and is_service_voice(text.voice):
            del stated["voice"]
        return stated

    given = {
        "speakers": {field: [own(text) for text in spoken] for field, spoken in texts.items()},
        "outside": outside,
        "max_speech_seconds": server.settings.max_speech_seconds,
    }
    return await _asked(server, ticket, "lengths", given, [])


async def _asked(
    server: Server, ticket: Ticket, name: str, given: dict[str, Any], readable: list[Path]
) -> Mapping[str, Any]:
    with server.sandbox.directory() as directory:
        answer: Mapping[str, Any] = await server.sandbox.run(
            ticket,
            name,
            given,
            limits=limits_for(server.settings),
            directory=directory,
            field="audio_paths",
            readable=readable,
        )
        return answer


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


async def past_talks(server: Server) -> list[PastTalk]:
    """The latest finished talks in the queue."""
    talks = []
    for job in await server.queue.jobs(status=JobStatus.COMPLETED, limit=FINISHED_JOBS):
        execution = job.execution_seconds(server.clock())
        if execution is None or not isinstance(job.output, Mapping):
            continue
        engine, seconds = job.output.get("engine"), job.output.get("duration_seconds")
        if isinstance(engine, str) and isinstance(seconds, int | float) and seconds > 0:
            talks.append(PastTalk(job.id, engine, seconds, execution))
    return talks


async def quality_of(server: Server, job_id: str) -> str | None:
    """The `quality` of a job; None where the job is gone, or began with an earlier job's windows.

    Such a job renders only the rest, so its real-time factor does not apply to other talks.
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
