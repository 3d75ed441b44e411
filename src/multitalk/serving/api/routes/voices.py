"""Voices: their list, and a text spoken by one of them, as OpenAI's clients ask for it."""

import json
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import InvalidRequest, RequestError
from multitalk.media.audio_encoder import KINDS, SoundFormatName, encode_sound
from multitalk.messages import Locale, Notice, sentence
from multitalk.schema import SpokenText
from multitalk.schema.request import has_outside_voice
from multitalk.schema.validation import WireModel, brief, one_error
from multitalk.serving.api.concurrency import cancel_on_disconnect, run_in_new_thread
from multitalk.serving.api.dependencies import Server, caller_of, server_of
from multitalk.serving.api.request_body import read_body
from multitalk.serving.api.responses import OpenFileResponse, json_response, locale_of
from multitalk.serving.sandbox.fair_scheduler import Ticket
from multitalk.serving.sandbox.ipc import SPEECH, notices_from_json, open_output
from multitalk.serving.sandbox.pool import SPEECH_CPU_SECONDS, limits_for
from multitalk.settings import Settings
from multitalk.speech.narration import narrate
from multitalk.speech.service_synthesis import service_synthesizer
from multitalk.speech.voice_catalogue import catalogue

router = APIRouter()

MAX_BODY_BYTES = 2**20
LISTED_SECONDS = 60.0  # for which a list of voices is used again
PLACE = "speech"  # the field of a text's errors, until they become those of the body
WARNINGS_HEADER = "X-MultiTalk-Warnings"


class SpeechBody(WireModel):
    """The body of `/v1/audio/speech`; all that is about the text is read by `SpokenText`."""

    input: Any
    voice: Any = None
    language: Any = None
    speed: Any = None
    pitch: Any = None
    model: Any = None  # there is one synthesizer
    response_format: SoundFormatName = "wav"


@router.get("/voices", summary="Languages and voices that texts can be spoken in")
async def voices(request: Request) -> Response:
    """Names for `language` and `voice` of a text; docs/voices.md describes the answer."""
    server_of(request).limits.admit(caller_of(request), "other")
    locale = locale_of(request.headers.get("accept-language", ""))
    return json_response(await _voices(server_of(request), locale))


@router.get("/v1/audio/voices", summary="The same voices, as clients of speech services read them")
async def audio_voices(request: Request) -> Response:
    """`{"voices": [{"id", "name", ...}]}`."""
    server_of(request).limits.admit(caller_of(request), "other")
    listed = await _voices(server_of(request), "en")
    return json_response({"voices": [{"id": voice["name"], **voice} for voice in listed["voices"]]})


@router.post("/v1/audio/speech", summary="A text, spoken")
async def speech(request: Request) -> Response:
    """Body: `{"input", "voice", "language", "speed", "pitch", "response_format"}`.

    The answer is a sound file. Warnings are a JSON list in the header X-MultiTalk-Warnings.
    """
    server = server_of(request)
    server.limits.admit(caller_of(request), "speech")
    given = await read_body(request, max_bytes=MAX_BODY_BYTES)
    text, format_name = parse_speech_order(given, settings=server.settings)
    scheduler = server.speech_slots if has_outside_voice(text) else server.sandbox.scheduler
    with ExitStack() as stack:
        ticket = stack.enter_context(scheduler.admit(caller_of(request)))
        directory = stack.enter_context(server.sandbox.directory())
        speaking = _by_service if has_outside_voice(text) else _spoken_here
        with _blaming_the_body():
            notices = await speaking(request, ticket, text, format_name, directory)
        locale = locale_of(request.headers.get("accept-language", ""))
        warnings = [sentence(notice.key, locale, **notice.parameters) for notice in notices]
        return OpenFileResponse(
            open_output(directory, SPEECH),
            stack.pop_all(),
            media_type=KINDS[format_name].media_type,
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'inline; filename="speech.{format_name}"',
                **({WARNINGS_HEADER: json.dumps(warnings)} if warnings else {}),
            },
        )


def parse_speech_order(given: object, *, settings: Settings) -> tuple[SpokenText, SoundFormatName]:
    """The text and the file format that a body asks for.

    Raises:
        InvalidRequest: Every problem of it.
    """
    if not isinstance(given, dict):
        raise InvalidRequest("body_not_an_object", value=brief(given))
    if given.get("input") is None:
        raise InvalidRequest("field_missing", field="input")
    try:
        order = SpeechBody.model_validate(given)
        said = order.model_dump(exclude={"model", "response_format", "input"}, exclude_unset=True)
        text = SpokenText.model_validate({"text": order.input, **said}, context=settings)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for item in found:
            item["loc"] = tuple("input" if part == "text" else part for part in item["loc"])
        raise one_error(found, known_fields=lambda _: SpeechBody.model_fields) from error
    return text, order.response_format


async def _voices(server: Server, locale: Locale) -> dict[str, Any]:
    """The catalogue; the speech service is not asked for it at every look at the page."""
    async with server.voices_lock:
        when, listed = server.voices.get(locale, (-math.inf, {}))
        if server.clock() - when > LISTED_SECONDS:
            listed = await run_in_new_thread(lambda: catalogue(server.settings, locale))
            server.voices[locale] = (server.clock(), listed)
        return listed


async def _spoken_here(
    request: Request,
    ticket: Ticket,
    text: SpokenText,
    format_name: SoundFormatName,
    directory: Path,
) -> Sequence[Notice]:
    """Have the synthesizer speak a text into the directory."""
    server = server_of(request)
    said = text.model_dump(exclude_unset=True)
    asked = server.sandbox.ask(
        ticket,
        "speech",
        {"text": said, "format": format_name, "field": PLACE},
        limits=limits_for(server.settings, SPEECH_CPU_SECONDS),
        directory=directory,
        field=PLACE,
    )
    return notices_from_json(await cancel_on_disconnect(request, asked))


async def _by_service(
    request: Request,
    ticket: Ticket,
    text: SpokenText,
    format_name: SoundFormatName,
    directory: Path,
) -> Sequence[Notice]:
    """Have the operator's speech service do so; it is left when the client is gone."""
    server, gone = server_of(request), threading.Event()

    def speak() -> Sequence[Notice]:
        outside = service_synthesizer(server.settings, directory, gone.is_set)
        spoken = narrate([text], field=PLACE, outside=outside, for_face=False)
        sound = encode_sound(spoken.samples, spoken.sample_rate, format_name)
        (directory / SPEECH).write_bytes(sound)
        return spoken.notices

    async with server.speech_slots.place(ticket):
        try:
            return await cancel_on_disconnect(request, run_in_new_thread(speak))
        finally:
            gone.set()


@contextmanager
def _blaming_the_body() -> Iterator[None]:
    """Have errors name the body's fields in place of the text's."""
    try:
        yield
    except RequestError as error:
        if error.field is not None:
            of_text = error.field.removeprefix(f"{PLACE}.")
            error.field = "input" if of_text in ("text", PLACE) else of_text
        raise
