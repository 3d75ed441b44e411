"""What a job will take, told before it is sent; and what is not known, said so."""

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multitalk.errors import EngineUnavailable, RequestError
from multitalk.inputs import collect
from multitalk.inputs.source import Url, parse_source
from multitalk.job.voices import check_talk_seconds
from multitalk.job.work import CLIP_FRAMES
from multitalk.media.audio import FPS
from multitalk.media.duration import sound_seconds
from multitalk.messages import Notice, sentence
from multitalk.schema import SpokenText, TalkRequest, parse_request
from multitalk.schema.request import has_outside_voice, is_outside
from multitalk.serving.api.paces import finished_talks, pace_of, quality_of
from multitalk.serving.api.server import Server
from multitalk.serving.api.uploads import is_upload, named_sources, with_sources
from multitalk.settings import Settings
from multitalk.speech.narration import narrate

PAST_TALKS = 20  # the last ones, of the same engine and quality, that an estimate is made from
CENTS = 4  # decimals of a price


async def estimate(server: Server, given: Any, *, owner: str) -> dict[str, Any]:
    """The body of `/estimate`.

    Args:
        server: Its settings, ledger and queue.
        given: A job's input.
        owner: Whose uploads it may name.

    Raises:
        RequestError: The input is wrong, as the worker would say.
    """
    placed = _with_upload_paths(server, given, owner=owner)
    request = parse_request(placed, settings=server.settings)
    talk_seconds, warnings = await asyncio.to_thread(
        _talk_seconds, request, server.settings, server.uploads.directory
    )
    engine = server.engine if request.engine == "auto" else request.engine
    past = server.ledger.paces(engine, quality=request.quality, limit=PAST_TALKS) or [
        (talk.seconds, talk.execution_seconds)  # the first ones, until they are noted
        for talk in await finished_talks(server)
        if talk.engine == engine and await quality_of(server, talk.job_id) == request.quality
    ]
    pace = pace_of(past)
    work = slowest = price = waiting = None
    if pace is None:
        warnings.append(sentence("pace_unknown", request.locale))
    elif talk_seconds is not None:
        work, slowest = talk_seconds * pace.median, talk_seconds * pace.slowest
    if of_all := server.ledger.paces(engine, limit=PAST_TALKS) or past:
        waiting = await _waiting_seconds(server, [work for _, work in of_all])
    if server.config.price_per_hour is None:
        warnings.append(sentence("price_unknown", request.locale))
    elif work is not None:
        price = round(work / 3600 * server.config.price_per_hour, CENTS)
    return {
        "engine": engine,
        "talk_seconds": _rounded(talk_seconds),
        "work_seconds": _rounded(work),
        "work_seconds_at_most": _rounded(slowest),
        "waiting_seconds": _rounded(waiting),
        "price": price,
        "currency": server.config.currency if price is not None else None,
        "past_talks": pace.talks if pace else 0,
        "warnings": warnings,
    }


def _with_upload_paths(server: Server, given: Any, *, owner: str) -> Any:
    """The input with its uploads as paths in the directory of uploads."""
    if not isinstance(given, dict):
        return given
    paths = {
        field: str(server.uploads.path(source, field=field, owner=owner, now=server.clock()))
        for field, source in named_sources(given)
        if is_upload(source)
    }
    return with_sources(given, paths) if paths else given


def _talk_seconds(
    request: TalkRequest, settings: Settings, uploads: Path
) -> tuple[float | None, list[str]]:
    """How long the talk will be, or None; and why it is not known, or what may be wrong."""
    lengths: list[float] = []
    warnings: list[str] = []
    for name, voice in request.audio_paths.items():
        field = f"audio_paths.{name}"
        if isinstance(voice, str):
            if isinstance(parse_source(voice, field=field), Url):
                return None, [f"{field}: " + sentence("duration_of_url", request.locale)]
            seconds = _recording_seconds(voice, field, settings, uploads)
            if seconds is None:
                return None, [f"{field}: " + sentence("duration_unreadable", request.locale)]
        else:
            texts = [voice] if isinstance(voice, SpokenText) else voice
            seconds, said = _spoken_seconds(texts, field)
            if seconds is None:
                return None, [f"{field}: " + sentence("duration_of_service", request.locale)]
            warnings += [
                sentence(notice.key, request.locale, **notice.parameters) for notice in said
            ]
        lengths.append(seconds)
    total = sum(lengths) if request.speaker_order == "sequential" else max(lengths)
    check_talk_seconds(total, list(request.audio_paths))
    return (min(total, CLIP_FRAMES / FPS) if request.mode == "clip" else total), warnings


def _spoken_seconds(
    texts: Sequence[SpokenText], field: str
) -> tuple[float | None, Sequence[Notice]]:
    """How long texts last, and what should be known about that.

    A speech service may cost money, so it is not asked: the synthesizer on this machine speaks in
    its place. None where that cannot read the text.
    """
    if not has_outside_voice(list(texts)):
        speech = narrate(texts, field=field)
        return len(speech.samples) / speech.sample_rate, speech.notices
    own = [
        text.model_copy(update={"voice": None})
        if text.voice is not None and is_outside(text.voice)
        else text
        for text in texts
    ]
    try:
        speech = narrate(own, field=field)
    except (RequestError, EngineUnavailable):
        return None, ()
    guessed = Notice("duration_guessed", {"field": field})
    return len(speech.samples) / speech.sample_rate, (guessed,)


def _recording_seconds(source: str, field: str, settings: Settings, uploads: Path) -> float | None:
    """How long a recording is."""
    if Path(source).parent == uploads:
        return sound_seconds(Path(source), field=field)
    with tempfile.TemporaryDirectory(dir=settings.work_directory) as directory:
        path = collect(
            source, field=field, kind="speech", directory=Path(directory), settings=settings
        )
        return sound_seconds(path, field=field)


async def _waiting_seconds(server: Server, past: list[float]) -> float | None:
    """How long the jobs that are there already will keep the workers, as long as past ones did."""
    counts, workers = await server.queue.counts(), await server.queue.workers()
    before = counts.in_queue + counts.in_progress
    return before * statistics.fmean(past) / len(workers) if workers else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
