"""A portrait that speaks what comes in, in real time (docs/live.md): WebSocket, WebRTC, recordings.

Over WebRTC, an offer is posted and an answer comes back, as in WHIP (RFC 9725), with JSON around
them; no media server is needed.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from multitalk.errors import InvalidRequest, MultiTalkError, TooManyRequests, WorkerError
from multitalk.messages import Locale
from multitalk.schema.validation import one_error
from multitalk.serving.api.dependencies import Owner, SignatureDep, rate_limit
from multitalk.serving.api.json_body import BodyReader, JsonBody
from multitalk.serving.api.live.conversation import error_message, parsed_message
from multitalk.serving.api.live.recorder import DIRECTORY, signed_name
from multitalk.serving.api.live.session import FrameForm, LiveClient, open_session
from multitalk.serving.api.models import (
    MAX_OFFER_CHARACTERS,
    LiveOptions,
    SpeechError,
    WebRtcAnswer,
    WebRtcOffer,
)
from multitalk.serving.api.openapi import BodyRoute, Responses, media, refusals
from multitalk.serving.api.responses import json_response
from multitalk.serving.api.services import Services, services_of
from multitalk.serving.api.uploads import UPLOAD_PREFIX
from multitalk.serving.live.webrtc_peer import OPUS_RATE, PeerLeft, check_webrtc
from multitalk.timebase import FPS

START_SECONDS = 10.0  # for the client's first message
# Codes of a closed WebSocket (RFC 6455, 7.4.1, and IANA's registry)
SERVER_ENDS, POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1001, 1008, 1011, 1013
WEBRTC = "/v1/live/webrtc"
MAX_BODY_BYTES = 2 * MAX_OFFER_CHARACTERS

offer_body = JsonBody(
    WebRtcOffer,
    example={"type": "offer", "sdp": "v=0\r\n...", "size": 512},
    max_bytes=lambda _: MAX_BODY_BYTES,
)
MEDIA_TYPE = "video/mp4"
KEPT = "private, max-age=3600"  # by the browser; the URL is valid for longer

VIDEO: Responses = media(MEDIA_TYPE, description="The recording")
PARTS: Responses = {
    206: VIDEO[200] | {"description": "A part of it"},
    416: {"description": "No such part"},
}

router = APIRouter(tags=["Live"], route_class=BodyRoute)


class StartMessage(LiveOptions):
    """The client's first message."""

    type: Literal["start"]
    sample_rate: int = Field(
        16_000, ge=8_000, le=48_000, multiple_of=FPS, description="of the sound that comes in"
    )
    format: FrameForm = Field("frames", description="`mp4`: for players that cannot decode frames")
    locale: Locale | None = Field(None, description="of messages; else as `Accept-Language` says")


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """One live session, from the first message to the end of the connection."""
    services = services_of(socket)
    client = LiveClient.of(socket)
    await socket.accept(subprotocol=socket.scope["state"].get("subprotocol"))
    try:
        services.limits.admit(client.caller, "other")
        start = await _start_message(socket)
        client = replace(client, locale=start.locale or client.locale)
        async with open_session(
            services, start, client.owner, form=start.format, locale=client.locale
        ) as session:
            await client.converse(
                services, session, _WebSocketLink(socket), start, rate=start.sample_rate
            )
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close(SERVER_ENDS)
    except WebSocketDisconnect:
        return
    except MultiTalkError as error:
        with suppress(RuntimeError, WebSocketDisconnect):  # it has gone
            await socket.send_text(error_message(error, client.locale))
            await socket.close(_close_code(error))


def _close_code(error: MultiTalkError) -> int:
    """The code that tells a client whether to connect again."""
    if isinstance(error, TooManyRequests):
        return TRY_AGAIN_LATER
    return INTERNAL_ERROR if isinstance(error, WorkerError) else POLICY_VIOLATION


class _WebSocketLink:
    """The client's end of a WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketDisconnect: The client has left.
        """
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        content: str | bytes = message["text"] if message.get("bytes") is None else message["bytes"]
        return content

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes."""
        if isinstance(message, str):
            await self._socket.send_text(message)
        else:
            await self._socket.send_bytes(message)


async def _start_message(socket: WebSocket) -> StartMessage:
    try:
        message = await asyncio.wait_for(socket.receive(), START_SECONDS)
    except asyncio.TimeoutError:
        raise InvalidRequest("live_start_missing", seconds=START_SECONDS) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    given = parsed_message(message.get("text") or "null")
    try:
        return StartMessage.model_validate(given)
    except ValidationError as error:
        names = list(StartMessage.model_fields)
        raise one_error(error.errors(include_url=False), known_fields=lambda _: names) from error


@router.post(
    WEBRTC,
    summary="Open a live session over WebRTC",
    status_code=201,
    response_model=WebRtcAnswer,
    responses=refusals(400, 404, 413, 415, 429, model=SpeechError),
    dependencies=[rate_limit("other")],
)
async def offer(request: Request, body: Annotated[BodyReader, Depends(offer_body)]) -> Response:
    """Needs the extra `live-webrtc`. `Location` is the session's address: DELETE ends it."""
    check_webrtc()
    given = await body.read()
    try:
        offered = WebRtcOffer.model_validate(given)
    except ValidationError as error:
        names = list(WebRtcOffer.model_fields)
        raise one_error(error.errors(include_url=False), known_fields=lambda _: names) from error
    services, client = services_of(request), LiveClient.of(request)
    converse = partial(_converse, services, client, offered)
    session_id, answer = await services.webrtc.open(client.owner, converse)
    headers = {"Location": f"{WEBRTC}/{session_id}"}
    if links := [one.link() for one in services.settings.ice_servers]:
        headers["Link"] = ", ".join(links)
    return json_response({"type": "answer", "sdp": answer}, status=201, headers=headers)


@router.delete(
    WEBRTC + "/{session_id}",
    summary="End a live session over WebRTC",
    status_code=204,
    responses=refusals(404, 429, model=SpeechError),
    dependencies=[rate_limit("other")],
)
async def end(request: Request, owner: Owner, session_id: str) -> Response:
    """Also a connection that ends, ends its session."""
    await services_of(request).webrtc.end(session_id, owner)
    return Response(status_code=204)


async def _converse(
    services: Services, client: LiveClient, offered: WebRtcOffer, answered: asyncio.Future[str]
) -> None:
    """One session, until its client leaves."""
    services.live.check_room()  # before a process is started for it
    async with services.webrtc.starting_peer() as starting:
        answering = asyncio.create_task(
            starting.answer(
                offered.sdp,
                ice_servers=[one.rtc() for one in services.settings.ice_servers],
                loopback=services.config.is_loopback,
            )
        )
        try:
            async with open_session(
                services, offered, client.owner, profile="Baseline", locale=client.locale
            ) as session:
                peer = await answering
                answered.set_result(peer.answer)
                with suppress(PeerLeft):
                    try:
                        await client.converse(services, session, peer, offered, rate=OPUS_RATE)
                    except MultiTalkError as error:
                        await peer.send(error_message(error, client.locale))
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


@router.get(
    f"/{DIRECTORY}/{{recording_id}}.mp4",
    summary="A recording of a live session",
    response_class=Response,
    responses=refusals(404) | VIDEO | PARTS,
)
async def recording(
    request: Request,
    *,
    recording_id: Annotated[str, Path(description="from a message `recording`")],
    signature: SignatureDep,
    download: Annotated[str | None, Query(description="`1`: the file is for saving")] = None,
) -> Response:
    """Signed URLs, as in the session's messages, need no key. Kept as long as an upload is."""
    owner: str | None = request.state.owner
    if signature is not None:
        signature.check(request, signed_name(recording_id))
        owner = None
    source = UPLOAD_PREFIX + recording_id
    path = services_of(request).uploads.path(source, field="recording_id", owner=owner)
    return FileResponse(
        path,
        media_type=MEDIA_TYPE,
        filename=f"live-{recording_id[:8]}.mp4",
        content_disposition_type="attachment" if download == "1" else "inline",
        headers={"Cache-Control": KEPT, "X-Content-Type-Options": "nosniff"},
    )
