"""Voices: their list, and a text spoken by one of them, as OpenAI's clients ask for it."""

import json
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from multitalk.media.audio_encoder import AUDIO_FORMATS
from multitalk.messages import sentence
from multitalk.serving.api.dependencies import Caller, SpeechDep, cancel_on_disconnect, rate_limit
from multitalk.serving.api.json_body import BodyReader, JsonBody
from multitalk.serving.api.models import SpeechBody, SpeechError, SpeechVoicesReply, VoicesReply
from multitalk.serving.api.openapi import EXAMPLE_TEXT, BodyRoute, media, refusals
from multitalk.serving.api.responses import OpenFileResponse, json_response, request_locale
from multitalk.serving.sandbox.ipc import SPEECH, open_output

MAX_BODY_BYTES = 2**20
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
    dependencies=[rate_limit("other")],
)
async def voices(request: Request, speech: SpeechDep) -> Response:
    """Names for `language` and `voice` of a text; docs/voices.md describes the answer."""
    return json_response(await speech.voices(request_locale(request)))


@router.get(
    "/v1/audio/voices",
    summary="The same voices, as clients of speech services read them",
    response_model=SpeechVoicesReply,
    responses=refusals(429, model=SpeechError),
    dependencies=[rate_limit("other")],
)
async def audio_voices(speech: SpeechDep) -> Response:
    """`{"voices": [{"id", "name", ...}]}`."""
    listed = await speech.voices("en")
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
    dependencies=[rate_limit("speech")],
)
async def speech(
    request: Request,
    speech: SpeechDep,
    caller: Caller,
    body: Annotated[BodyReader, Depends(speech_body)],
) -> Response:
    """Body: `{"input", "voice", "language", "speed", "pitch", "response_format"}`.

    The answer is a sound file. Warnings are a JSON list in the header X-MultiTalk-Warnings.
    """
    text = speech.parse(await body.read())
    with ExitStack() as stack:
        spoken = await cancel_on_disconnect(request, speech.speak(caller, text, stack))
        locale = request_locale(request)
        warnings = [sentence(one.key, locale, **one.parameters) for one in spoken.notices]
        return OpenFileResponse(
            open_output(spoken.directory, SPEECH),
            stack.pop_all(),
            media_type=AUDIO_FORMATS[text.response_format].media_type,
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'inline; filename="speech.{text.response_format}"',
                **({WARNINGS_HEADER: json.dumps(warnings)} if warnings else {}),
            },
        )
