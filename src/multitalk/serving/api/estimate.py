"""The body of `/estimate`: how long a talk will be, how long it takes and what it costs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multitalk.errors import NotFound
from multitalk.inputs.source import Url, parse_source
from multitalk.job.stages import CLIP_FRAMES
from multitalk.job.voices import check_talk_seconds
from multitalk.messages import Notice, sentence
from multitalk.schema import JobStatus, SpokenText, TalkRequest, parse_request
from multitalk.schema.request import has_outside_voice, is_outside
from multitalk.schema.sources import is_upload, named_sources, voice_field
from multitalk.serving.api.dependencies import Server
from multitalk.serving.api.submission import earlier_windows
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.serving.sandbox.ipc import notices_from_json, seconds_from_json
from multitalk.serving.sandbox.pool import limits_for
from multitalk.timebase import FPS

PAST_TALKS = 20  # the last ones, of the same engine and quality, that an estimate is made from
CENTS = 4  # decimals of a price
Known = tuple[float | None, list[str]]  # seconds, and why they are not known or may be wrong
FINISHED_JOBS = 50  # that one look takes in


async def estimate(server: Server, ticket: Ticket, given: Any, *, owner: str) -> dict[str, Any]:
    """The body of `/estimate`.

    Args:
        server: Its settings, ledger and queue.
        ticket: An admitted question.
        given: A job's input.
        owner: Whose uploads it may name.

    Raises:
        RequestError: The input is wrong, as the worker would say, or names no earlier job.
    """
    uploads = _upload_paths(server, given, owner=owner)
    request = parse_request(given, settings=server.settings)
    kept = await _kept_seconds(server, request, owner=owner)
    talk, warnings = await talk_seconds(server, ticket, request, uploads)
    engine = server.engine if request.engine == "auto" else request.engine
    past = server.database.talk_times(engine, quality=request.quality, limit=PAST_TALKS) or [
        (talk.seconds, talk.execution_seconds)  # the first ones, until they are noted
        for talk in await finished_talks(server)
        if talk.engine == engine and await quality_of(server, talk.job_id) == request.quality
    ]
    pace = real_time_factor(past)
    if engine == "diffusion" and request.resolution == "720p":
        warnings.append(sentence("large_video_costs", request.locale))
    work = slowest = price = waiting = None
    if pace is None:
        warnings.append(sentence("pace_unknown", request.locale))
    elif talk is not None:
        made = max(0.0, talk - kept)
        work, slowest = made * pace.median, made * pace.slowest
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


async def talk_seconds(
    server: Server, ticket: Ticket, request: TalkRequest, uploads: Mapping[str, Path]
) -> Known:
    """How long the talk will be, or None; and why it is not known, or what may be wrong.

    Args:
        server: Asked for the lengths.
        ticket: An admitted question.
        request: The job.
        uploads: Files of those fields that name an upload of this owner's.

    Raises:
        RequestError: A voice is wrong, as the worker would say; or reading it costs too much.
    """
    voices = {voice_field(name): voice for name, voice in request.audio_paths.items()}
    recordings = {field: voice for field, voice in voices.items() if isinstance(voice, str)}
    for field, source in recordings.items():
        if field not in uploads and isinstance(parse_source(source, field=field), Url):
            return None, [f"{field}: " + sentence("duration_of_url", request.locale)]
    lengths: list[float] = []
    warnings: list[str] = []
    if recordings:
        for field, told in (await _recordings(server, ticket, recordings, uploads)).items():
            if (seconds := seconds_from_json(told)) is None:
                return None, [f"{field}: " + sentence("duration_unreadable", request.locale)]
            lengths.append(seconds)
    texts = {
        field: [voice] if isinstance(voice, SpokenText) else voice
        for field, voice in voices.items()
        if not isinstance(voice, str)
    }
    if texts:
        outside = [field for field, spoken in texts.items() if has_outside_voice(spoken)]
        for field, told in (await _texts(server, ticket, texts, outside)).items():
            if (seconds := seconds_from_json(told["seconds"])) is None:
                return None, [f"{field}: " + sentence("duration_of_service", request.locale)]
            notices = notices_from_json(told["notices"])
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
    """A speech service may cost money, so it is not asked: the synthesizer speaks in its place."""

    def own(text: SpokenText) -> dict[str, Any]:
        said = text.model_dump(exclude_unset=True)
        if text.voice is not None and is_outside(text.voice):
            del said["voice"]
        return said

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
        answer: Mapping[str, Any] = await server.sandbox.ask(
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
class RealTimeFactor:
    """How long an engine's last talks took, in their own length.

    Attributes:
        talks: How many there were.
        median: Seconds of work for a second of talk.
        slowest: Of the slowest tenth.
    """

    talks: int
    median: float
    slowest: float


def real_time_factor(talk_times: Sequence[tuple[float, float]]) -> RealTimeFactor | None:
    """The pace of talks given as (seconds of talk, seconds of work); None where there are none."""
    ratios = sorted(work / talk for talk, work in talk_times)
    if not ratios:
        return None
    return RealTimeFactor(
        len(ratios), statistics.median(ratios), ratios[min(len(ratios) - 1, len(ratios) * 9 // 10)]
    )
