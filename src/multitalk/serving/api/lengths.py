"""How long a talk will be, from its recordings and its texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multitalk.inputs.source import Url, parse_source
from multitalk.job.stages import CLIP_FRAMES
from multitalk.job.voices import check_talk_seconds, field_of
from multitalk.messages import Notice, sentence
from multitalk.schema import SpokenText, TalkRequest
from multitalk.schema.request import has_outside_voice, is_outside
from multitalk.serving.api.reading import limits
from multitalk.serving.api.server import Server
from multitalk.serving.reader.told import notices_from, seconds_from
from multitalk.serving.reader.turns import Turn
from multitalk.timebase import FPS

Known = tuple[float | None, list[str]]  # seconds, and why they are not known or may be wrong


async def talk_seconds(
    server: Server, turn: Turn, request: TalkRequest, uploads: Mapping[str, Path]
) -> Known:
    """How long the talk will be, or None; and why it is not known, or what may be wrong.

    Args:
        server: Asked for the lengths.
        turn: An admitted question.
        request: The job.
        uploads: Files of those fields that name an upload of this owner's.

    Raises:
        RequestError: A voice is wrong, as the worker would say; or reading it costs too much.
    """
    voices = {field_of(name): voice for name, voice in request.audio_paths.items()}
    recordings = {field: voice for field, voice in voices.items() if isinstance(voice, str)}
    for field, source in recordings.items():
        if field not in uploads and isinstance(parse_source(source, field=field), Url):
            return None, [f"{field}: " + sentence("duration_of_url", request.locale)]
    lengths: list[float] = []
    warnings: list[str] = []
    if recordings:
        for field, told in (await _recordings(server, turn, recordings, uploads)).items():
            if (seconds := seconds_from(told)) is None:
                return None, [f"{field}: " + sentence("duration_unreadable", request.locale)]
            lengths.append(seconds)
    texts = {
        field: [voice] if isinstance(voice, SpokenText) else voice
        for field, voice in voices.items()
        if not isinstance(voice, str)
    }
    if texts:
        outside = [field for field, spoken in texts.items() if has_outside_voice(spoken)]
        for field, told in (await _texts(server, turn, texts, outside)).items():
            if (seconds := seconds_from(told["seconds"])) is None:
                return None, [f"{field}: " + sentence("duration_of_service", request.locale)]
            notices = notices_from(told["notices"])
            if field in outside:
                notices.insert(0, Notice("duration_guessed", {"field": field}))
            warnings += [sentence(one.key, request.locale, **one.parameters) for one in notices]
            lengths.append(seconds)
    total = sum(lengths) if request.speaker_order == "sequential" else max(lengths)
    check_talk_seconds(total, list(request.audio_paths))
    return (min(total, CLIP_FRAMES / FPS) if request.mode == "clip" else total), warnings


async def _recordings(
    server: Server, turn: Turn, recordings: Mapping[str, str], uploads: Mapping[str, Path]
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
        server, turn, "recordings", given, [*uploads.values(), *settings.allowed_roots]
    )


async def _texts(
    server: Server, turn: Turn, texts: Mapping[str, list[SpokenText]], outside: list[str]
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
    return await _asked(server, turn, "lengths", given, [])


async def _asked(
    server: Server, turn: Turn, name: str, given: dict[str, Any], readable: list[Path]
) -> Mapping[str, Any]:
    with server.readers.directory() as directory:
        answer: Mapping[str, Any] = await server.readers.ask(
            turn,
            name,
            given,
            limits=limits(server.settings),
            directory=directory,
            field="audio_paths",
            readable=readable,
        )
        return answer
