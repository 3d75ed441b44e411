"""`WebSocket /v1/live`: a portrait that speaks what comes in, in real time (docs/live.md)."""

import asyncio
import logging
from contextlib import suppress
from typing import Literal

from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from multitalk.errors import InternalError, InvalidRequest, MultiTalkError, TooManyRequests
from multitalk.schema.validation import one_error
from multitalk.serving.api.live.client import LiveClient
from multitalk.serving.api.live.conversation import error_message, parsed_message
from multitalk.serving.api.live.models import LiveOptions
from multitalk.serving.api.live.session import FrameForm, open_session
from multitalk.serving.api.services import services_of
from multitalk.timebase import FPS

START_SECONDS = 10.0  # for the client's first message
# Codes of a closed WebSocket (RFC 6455, 7.4.1, and IANA's registry)
SERVER_ENDS, POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1001, 1008, 1011, 1013

logger = logging.getLogger(__name__)
router = APIRouter(tags=["Live"])


class StartMessage(LiveOptions):
    """The client's first message."""

    type: Literal["start"]
    sample_rate: int = Field(
        16_000, ge=8_000, le=48_000, multiple_of=FPS, description="of the sound that comes in"
    )
    format: FrameForm = Field("frames", description="`mp4`: for players that cannot decode frames")


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """One live session, from the first message to the end of the connection."""
    services = services_of(socket)
    client = LiveClient.of(socket)
    await socket.accept(subprotocol=socket.scope["state"].get("subprotocol"))
    try:
        services.limits.admit(client.caller, "other")
        start = await _start_message(socket)
        async with open_session(services, start, client.owner, form=start.format) as session:
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
    """By which a client knows whether to connect again."""
    if isinstance(error, TooManyRequests):
        return TRY_AGAIN_LATER
    return INTERNAL_ERROR if isinstance(error, InternalError) else POLICY_VIOLATION


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
