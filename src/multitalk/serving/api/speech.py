"""Voices: their list, and a text spoken by one of them, as OpenAI's clients ask for it."""

import asyncio
import json
import math
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import InvalidRequest, RequestError
from multitalk.media.sound_file import KINDS, SoundFormatName, encode_sound
from multitalk.messages import Locale, sentence
from multitalk.schema import SpokenText
from multitalk.schema.problems import brief, one_error
from multitalk.schema.request import has_outside_voice
from multitalk.schema.wire import WireModel
from multitalk.serving.api.answers import answer, locale_of, read_body
from multitalk.serving.api.jobs import caller_of
from multitalk.serving.api.server import Server, server_of
from multitalk.settings import Settings
from multitalk.speech.catalogue import catalogue
from multitalk.speech.narration import narrate
from multitalk.speech.outside import outside_voices
from multitalk.speech.synthesis import SynthesizedSpeech

router = APIRouter()

MAX_BODY_BYTES = 2**20
LISTED_SECONDS = 60.0  # for which a list of voices is used again
LOOK_SECONDS = 0.5  # how often a client that waits is looked after
PLACE = "speech"  # the field of a text's errors, until they become those of the body
WARNINGS_HEADER = "X-MultiTalk-Warnings"


class _Order(WireModel):
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
    return answer(await _voices(server_of(request), locale))


@router.get("/v1/audio/voices", summary="The same voices, as clients of speech services read them")
async def audio_voices(request: Request) -> Response:
    """`{"voices": [{"id", "name", ...}]}`."""
    server_of(request).limits.admit(caller_of(request), "other")
    listed = await _voices(server_of(request), "en")
    return answer({"voices": [{"id": voice["name"], **voice} for voice in listed["voices"]]})


@router.post("/v1/audio/speech", summary="A text, spoken")
async def speech(request: Request) -> Response:
    """Body: `{"input", "voice", "language", "speed", "pitch", "response_format"}`.

    The answer is a sound file. Warnings are a JSON list in the header X-MultiTalk-Warnings.
    """
    server = server_of(request)
    server.limits.admit(caller_of(request), "speech")
    given = await read_body(request, max_bytes=MAX_BODY_BYTES)
    text, format_name = parse_speech_order(given, settings=server.settings)
    async with server.asking if has_outside_voice(text) else server.speaking:
        spoken = await _while_wanted(request, text, server.settings)
        sound = await asyncio.to_thread(
            encode_sound, spoken.samples, spoken.sample_rate, format_name
        )
    locale = locale_of(request.headers.get("accept-language", ""))
    warnings = [sentence(notice.key, locale, **notice.parameters) for notice in spoken.notices]
    return Response(
        sound,
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
        order = _Order.model_validate(given)
        said = order.model_dump(exclude={"model", "response_format", "input"}, exclude_unset=True)
        text = SpokenText.model_validate({"text": order.input, **said}, context=settings)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for item in found:
            item["loc"] = tuple("input" if part == "text" else part for part in item["loc"])
        raise one_error(found, known_fields=lambda _: _Order.model_fields) from error
    return text, order.response_format


async def _voices(server: Server, locale: Locale) -> dict[str, Any]:
    """The catalogue; the speech service is not asked for it at every look at the page."""
    when, listed = server.voices.get(locale, (-math.inf, {}))
    if server.clock() - when > LISTED_SECONDS:
        listed = await asyncio.to_thread(catalogue, server.settings, locale)
        server.voices[locale] = (server.clock(), listed)
    return listed


async def _while_wanted(
    request: Request, text: SpokenText, settings: Settings
) -> SynthesizedSpeech:
    """A text, spoken; the speech service is left as soon as the client is gone."""
    gone = threading.Event()
    work = asyncio.create_task(asyncio.to_thread(_speak, text, settings, gone.is_set))
    while not work.done():
        await asyncio.wait({work}, timeout=LOOK_SECONDS)
        if await request.is_disconnected():
            gone.set()
    return work.result()


def _speak(
    text: SpokenText, settings: Settings, cancelled: Callable[[], bool]
) -> SynthesizedSpeech:
    try:
        with tempfile.TemporaryDirectory(dir=settings.work_directory) as directory:
            outside = outside_voices(settings, Path(directory), cancelled)
            return narrate([text], field=PLACE, outside=outside, for_face=False)
    except RequestError as error:
        of_text = (error.field or "").removeprefix(f"{PLACE}.")
        error.field = "input" if of_text in ("text", PLACE) else of_text
        raise
