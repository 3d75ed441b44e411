"""Voices: their list, and a text spoken by one of them, as OpenAI's clients ask for it."""

import asyncio
import json
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import InvalidRequest, RequestError
from multitalk.media.audio_encoder import AUDIO_FORMATS, encode_sound
from multitalk.messages import Locale, Notice, sentence
from multitalk.net.deadline import run_in_daemon_thread
from multitalk.schema import SpokenText
from multitalk.schema.request import has_service_voice
from multitalk.schema.validation import brief, one_error
from multitalk.serving.api.dependencies import (
    Caller,
    Server,
    cancel_on_disconnect,
    rate_limit,
)
from multitalk.serving.api.models import SpeechBody, SpeechError, SpeechVoicesReply, VoicesReply
from multitalk.serving.api.openapi import EXAMPLE_TEXT, BodyRoute, media, refusals
from multitalk.serving.api.request_body import BodyReader, JsonBody
from multitalk.serving.api.responses import OpenFileResponse, json_response, request_locale
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.serving.sandbox.ipc import SPEECH, notices_from_json, open_output, read_output
from multitalk.serving.sandbox.pool import SPEECH_CPU_SECONDS, limits_for
from multitalk.settings import Settings
from multitalk.speech.narration import narrate
from multitalk.speech.service_synthesis import service_synthesizer
from multitalk.speech.voice_catalogue import catalogue

MAX_BODY_BYTES = 2**20
LISTED_SECONDS = 60.0  # for which a list of voices is used again
PLACE = "speech"  # the field of a text's errors, until they become those of the body
PCM_RATE = 24_000  # samples per second of the format `pcm`, as OpenAI has it
WARNINGS_HEADER = "X-MultiTalk-Warnings"

speech_body = JsonBody(
    SpeechBody,
    example={"input": EXAMPLE_TEXT, "voice": "female"},
    max_bytes=lambda _: MAX_BODY_BYTES,
)

router = APIRouter(tags=["Voices"], route_class=BodyRoute)


@router.get(
    "/voices",
    summary="Languages and voices that texts can be spoken in",
    response_model=VoicesReply,
    responses=refusals(429),
)
async def voices(request: Request, server: Annotated[Server, rate_limit("other")]) -> Response:
    """Names for `language` and `voice` of a text; docs/voices.md describes the answer."""
    return json_response(await _voices(server, request_locale(request)))


@router.get(
    "/v1/audio/voices",
    summary="The same voices, as clients of speech services read them",
    response_model=SpeechVoicesReply,
    responses=refusals(429, model=SpeechError),
)
async def audio_voices(server: Annotated[Server, rate_limit("other")]) -> Response:
    """`{"voices": [{"id", "name", ...}]}`."""
    listed = await _voices(server, "en")
    return json_response(
        SpeechVoicesReply(voices=[{"id": voice["name"], **voice} for voice in listed["voices"]])
    )


@router.post(
    "/v1/audio/speech",
    summary="A text, spoken",
    response_class=Response,
    responses={
        **refusals(400, 413, 429, 502, 507, model=SpeechError),
        **media(*(kind.media_type for kind in AUDIO_FORMATS.values()), description="The sound"),
    },
)
async def speech(
    request: Request,
    server: Annotated[Server, rate_limit("speech")],
    caller: Caller,
    body: Annotated[BodyReader, Depends(speech_body)],
) -> Response:
    """Body: `{"input", "voice", "language", "speed", "pitch", "response_format"}`.

    The answer is a sound file. Warnings are a JSON list in the header X-MultiTalk-Warnings.
    """
    text = parse_speech_body(await body.read(), settings=server.settings)
    by_service = has_service_voice(text)
    scheduler = server.speech_slots if by_service else server.sandbox.scheduler
    with ExitStack() as stack:
        ticket = stack.enter_context(scheduler.admit(caller))
        directory = stack.enter_context(server.sandbox.directory())
        speak = _speak_by_service if by_service else _speak_in_sandbox
        with _blame_the_body():
            notices = await cancel_on_disconnect(request, speak(server, ticket, text, directory))
        locale = request_locale(request)
        warnings = [sentence(notice.key, locale, **notice.parameters) for notice in notices]
        return OpenFileResponse(
            open_output(directory, SPEECH),
            stack.pop_all(),
            media_type=AUDIO_FORMATS[text.response_format].media_type,
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'inline; filename="speech.{text.response_format}"',
                **({WARNINGS_HEADER: json.dumps(warnings)} if warnings else {}),
            },
        )


def parse_speech_body(given: object, *, settings: Settings) -> SpeechBody:
    """The text to be spoken, and the format of its file.

    Raises:
        InvalidRequest: Every problem of it.
    """
    if not isinstance(given, dict):
        raise InvalidRequest("body_not_an_object", value=brief(given))
    if given.get("input") is None:
        raise InvalidRequest("field_missing", field="input")
    try:
        return SpeechBody.model_validate(given, context=settings)
    except ValidationError as error:
        names = [field.alias or name for name, field in SpeechBody.model_fields.items()]
        raise one_error(error.errors(include_url=False), known_fields=lambda _: names) from error


async def _voices(server: Server, locale: Locale) -> dict[str, Any]:
    """The catalogue; the speech service is not asked for it at every look at the page."""
    async with server.voices_lock:
        when, listed = server.voices.get(locale, (-math.inf, {}))
        if server.clock() - when > LISTED_SECONDS:
            listed = await asyncio.wrap_future(
                run_in_daemon_thread(lambda: catalogue(server.settings, locale), name="voices")
            )
            server.voices[locale] = (server.clock(), listed)
        return listed


async def speak_pcm(
    server: Server, caller: str, text: SpeechBody, stack: ExitStack
) -> tuple[bytes, int]:
    """A text in the format `pcm`: int16, little-endian, and its samples per second."""
    by_service = has_service_voice(text)
    scheduler = server.speech_slots if by_service else server.sandbox.scheduler
    ticket = stack.enter_context(scheduler.admit(caller))
    directory = stack.enter_context(server.sandbox.directory())
    speak = _speak_by_service if by_service else _speak_in_sandbox
    with _blame_the_body():
        await speak(server, ticket, text, directory)
    return read_output(directory, SPEECH), PCM_RATE


async def _speak_in_sandbox(
    server: Server, ticket: Ticket, text: SpeechBody, directory: Path
) -> Sequence[Notice]:
    """Have the synthesizer speak a text into a file of the directory."""
    fields = text.model_dump(include=set(SpokenText.model_fields), exclude_unset=True)
    return notices_from_json(
        await server.sandbox.run(
            ticket,
            "speech",
            {"text": fields, "format": text.response_format, "field": PLACE},
            limits=limits_for(server.settings, SPEECH_CPU_SECONDS),
            directory=directory,
            field=PLACE,
        )
    )


async def _speak_by_service(
    server: Server, ticket: Ticket, text: SpeechBody, directory: Path
) -> Sequence[Notice]:
    """Have the operator's speech service do so; cancelled, its answer is not waited for."""
    cancelled = threading.Event()

    def speak() -> Sequence[Notice]:
        outside = service_synthesizer(server.settings, directory, cancelled.is_set)
        spoken = narrate([text], field=PLACE, outside=outside, for_face=False)
        sound = encode_sound(spoken.samples, spoken.sample_rate, text.response_format)
        (directory / SPEECH).write_bytes(sound)
        return spoken.notices

    async with server.speech_slots.slot(ticket):
        try:
            return await asyncio.wrap_future(run_in_daemon_thread(speak, name="speech"))
        finally:
            cancelled.set()


@contextmanager
def _blame_the_body() -> Iterator[None]:
    """Have errors name the body's fields in place of the text's."""
    try:
        yield
    except RequestError as error:
        if error.field is not None:
            of_text = error.field.removeprefix(f"{PLACE}.")
            error.field = "input" if of_text in ("text", PLACE) else of_text
        raise
