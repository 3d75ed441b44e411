"""How long a talk will be: its recordings are measured and its texts spoken in a sandbox."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from multitalk.inputs.source import Url, parse_source
from multitalk.job.voice_checks import check_talk_seconds
from multitalk.messages import Notice, sentence
from multitalk.schema import SpokenText, TalkRequest
from multitalk.schema.request import has_service_voice, is_service_voice
from multitalk.schema.sources import voice_field
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.serving.sandbox.ipc import notices_from_json, seconds_from_json
from multitalk.serving.sandbox.pool import SandboxPool, limits_for
from multitalk.settings import Settings
from multitalk.timebase import CLIP_FRAMES, FPS


class _Unknown(Exception):
    """The length of a voice is unknown: its field, and the key of the sentence that says why."""


class TalkLengths:
    """Measures talks before they are rendered.

    Args:
        sandbox: Runs the tasks that measure.
        settings: Their limits.
    """

    def __init__(self, sandbox: SandboxPool, settings: Settings) -> None:
        self._sandbox = sandbox
        self._settings = settings

    async def measure(
        self, ticket: Ticket, request: TalkRequest, uploads: Mapping[str, Path]
    ) -> tuple[float | None, list[str]]:
        """Length of a talk in seconds, or None; and warnings: why it is unknown or inexact.

        Args:
            ticket: Of the sandbox's scheduler.
            request: The job.
            uploads: Files of the fields that name an upload.

        Raises:
            RequestError: A voice is invalid, or decoding it exceeds the limits.
        """
        recordings = {voice_field(name): given for name, given in request.recordings.items()}
        texts = {voice_field(name): given for name, given in request.texts.items()}
        try:
            lengths = await self._recording_seconds(ticket, recordings, uploads)
            spoken, notices = await self._text_seconds(ticket, texts)
        except _Unknown as unknown:
            field, key = unknown.args
            return None, [f"{field}: " + sentence(key, request.locale)]
        lengths += spoken
        total = sum(lengths) if request.speaker_order == "sequential" else max(lengths)
        check_talk_seconds(total, list(request.audio_paths))
        warnings = [sentence(one.key, request.locale, **one.parameters) for one in notices]
        return (min(total, CLIP_FRAMES / FPS) if request.mode == "clip" else total), warnings

    async def _recording_seconds(
        self, ticket: Ticket, recordings: Mapping[str, str], uploads: Mapping[str, Path]
    ) -> list[float]:
        """Seconds of each recording, by field."""
        _check_local({name: one for name, one in recordings.items() if name not in uploads})
        if not recordings:
            return []
        settings = self._settings
        paths = {field: str(path) for field, path in uploads.items()}
        given = {
            "recordings": [
                {"field": field, "path": paths.get(field), "source": source}
                for field, source in recordings.items()
            ],
            "allowed_roots": [str(root) for root in settings.allowed_roots],
            "max_audio_bytes": settings.max_audio_bytes,
            "max_speech_seconds": settings.max_speech_seconds,
        }
        readable = [*uploads.values(), *settings.allowed_roots]
        found = await self._run(ticket, "recordings", given, readable)
        return [
            _seconds_or_raise(field, length, "duration_unreadable")
            for field, length in found.items()
        ]

    async def _text_seconds(
        self, ticket: Ticket, texts: Mapping[str, list[SpokenText]]
    ) -> tuple[list[float], list[Notice]]:
        """Seconds of each speaker's texts, and notices about them."""
        if not texts:
            return [], []
        outside = [field for field, spoken in texts.items() if has_service_voice(spoken)]
        given = {
            "speakers": {field: list(map(_own_voice, spoken)) for field, spoken in texts.items()},
            "outside": outside,
            "max_speech_seconds": self._settings.max_speech_seconds,
        }
        lengths: list[float] = []
        notices: list[Notice] = []
        for field, found in (await self._run(ticket, "lengths", given, [])).items():
            lengths.append(_seconds_or_raise(field, found["seconds"], "duration_of_service"))
            if field in outside:
                notices.append(Notice("duration_guessed", {"field": field}))
            notices += notices_from_json(found["notices"])
        return lengths, notices

    async def _run(
        self, ticket: Ticket, name: str, given: dict[str, Any], readable: Iterable[Path]
    ) -> Mapping[str, Any]:
        with self._sandbox.directory() as directory:
            answer: Mapping[str, Any] = await self._sandbox.run(
                ticket,
                name,
                given,
                limits=limits_for(self._settings),
                directory=directory,
                field="audio_paths",
                readable=list(readable),
            )
            return answer


def _check_local(recordings: Mapping[str, str]) -> None:
    """Refuse a URL, which the server does not open."""
    for field, source in recordings.items():
        if isinstance(parse_source(source, field=field), Url):
            raise _Unknown(field, "duration_of_url")


def _seconds_or_raise(field: str, found: Any, key: str) -> float:
    if (seconds := seconds_from_json(found)) is None:
        raise _Unknown(field, key)
    return seconds


def _own_voice(text: SpokenText) -> dict[str, Any]:
    """A text for the synthesizer, which measures it in place of a service that may cost money."""
    stated = text.model_dump(exclude_unset=True)
    if text.voice is not None and is_service_voice(text.voice):
        del stated["voice"]
    return stated
