"""`WebSocket /v1/live`: a portrait that speaks what comes in, in real time (docs/live.md)."""

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from multitalk.errors import (
    InternalError,
    InvalidRequest,
    LimitExceeded,
    MultiTalkError,
    TooManyRequests,
)
from multitalk.schema import ErrorReply
from multitalk.schema.sources import is_upload
from multitalk.schema.validation import WireModel, brief, one_error
from multitalk.serving.api.dependencies import Server, caller_of
from multitalk.serving.api.responses import locale_of
from multitalk.serving.api.routes.pages import DIRECTORY
from multitalk.serving.api.routes.voices import parse_speech_body, speak_pcm
from multitalk.serving.live.messages import Kind, is_key_frame, without_video
from multitalk.serving.live.session_pool import LiveSession, refusal
from multitalk.timebase import FPS
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

EXAMPLE = DIRECTORY / "example.jpg"
START_SECONDS = 10.0  # for the client's first message
# Frames that a client may be behind: from here on it gets no pictures but all sound, until it has
# caught up; and from there on it is given up.
MAX_WAITING, CAUGHT_UP, GIVEN_UP = 25, 3, 250
# Codes of a closed WebSocket (RFC 6455, 7.4.1, and IANA's registry)
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013

logger = logging.getLogger(__name__)
router = APIRouter(tags=["Live"])


class StartMessage(WireModel):
    """The client's first message."""

    type: Literal["start"]
    portrait: str | None = Field(None, description="`upload://ID`; the example if left out")
    size: int = Field(512, ge=64, le=1280, description="of the longer side, in pixels")
    ahead_ms: int = Field(160, ge=0, le=400, multiple_of=40)
    seed: int = Field(0, ge=0, lt=2**32)
    motion: float = Field(1.0, ge=0.0, le=1.5)
    quality: Literal["draft", "standard", "fine"] = "standard"
    sample_rate: int = Field(
        16_000, ge=8_000, le=48_000, multiple_of=FPS, description="of the sound that comes in"
    )


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """One live session, from the first message to the end of the connection."""
    server: Server = socket.app.state.server
    locale = locale_of(socket.headers.get("accept-language", ""))
    await socket.accept(subprotocol=socket.scope["state"].get("subprotocol"))
    try:
        owner: str = socket.scope["state"]["owner"]
        caller = caller_of(socket)
        server.limits.admit(caller, "other")
        start = await _start_message(socket)
        portrait = EXAMPLE
        if start.portrait is not None:
            portrait = _upload(server, start.portrait, owner)
        options = {
            "portrait": str(portrait),
            "watermark": _mark() if server.settings.watermark else None,
            **start.model_dump(include={"size", "ahead_ms", "seed", "motion", "quality"}),
        }
        async with server.live.open(options) as session:
            server.sandbox.warm()  # for texts
            warmer = asyncio.create_task(server.live.warm())
            try:
                await _Conversation(socket, server, session, start.sample_rate, caller).run()
            finally:
                warmer.cancel()
    except WebSocketDisconnect:
        return
    except MultiTalkError as error:
        code = TRY_AGAIN_LATER if isinstance(error, TooManyRequests) else POLICY_VIOLATION
        with suppress(RuntimeError, WebSocketDisconnect):  # it has gone
            await socket.send_text(_error(error, locale))
            await socket.close(code)


def _mark() -> list[int]:
    """The fields of a session's watermark, with a number of its own."""
    payload = Payload.of(__version__, secrets.token_hex(8))
    return [payload.major, payload.minor, payload.talk]


class _Conversation:
    """Passes a client's messages to the session, and the session's frames to the client."""

    def __init__(
        self, socket: WebSocket, server: Server, session: LiveSession, rate: int, caller: str
    ) -> None:
        self._socket = socket
        self._server = server
        self._session = session
        self._rate = rate
        self._caller = caller
        self._locale = locale_of(socket.headers.get("accept-language", ""))
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._speaking: asyncio.Task[None] | None = None
        self._awaits_key_frame = False

    async def run(self) -> None:
        """Until the client leaves, the process ends or the server does."""
        ready = {"type": "ready", "fps": FPS, **self._session.ready}
        self._outgoing.put_nowait(json.dumps(ready))
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._from_client(),
                self._from_session(),
                self._to_client(),
                self._server.shutdown.requested.wait(),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *([self._speaking] if self._speaking else [])):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.close(1001)  # the server ends

    async def _from_client(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            try:
                if message.get("bytes") is not None:
                    await self._push(message["bytes"])
                else:
                    await self._handle(_parsed(message["text"]))
            except MultiTalkError as error:
                if isinstance(error, InternalError):  # the session has ended
                    raise
                self._outgoing.put_nowait(_error(error, self._locale))

    async def _push(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            raise InvalidRequest("avatar_pcm", field="audio", kind="an odd number of bytes")
        await self._session.push_audio(pcm, self._rate)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "flush":
                await self._session.flush()
            case "interrupt":
                self._stop_speaking()
                await self._session.interrupt()
            case "key_frame":
                await self._session.ask_for_key_frame()
            case "say":
                text = {name: value for name, value in message.items() if name != "type"}
                text.setdefault("input", text.pop("text", None))
                body = parse_speech_body(
                    {**text, "response_format": "pcm"}, settings=self._server.settings
                )
                self._server.limits.admit(self._caller, "speech")
                self._stop_speaking()
                self._speaking = asyncio.create_task(self._say(body))
            case other:
                raise InvalidRequest("live_message_unknown", field="type", value=brief(other))

    async def _say(self, body: Any) -> None:
        """Speak a text; what goes wrong is an `error` message."""
        try:
            with ExitStack() as stack:
                pcm, rate = await speak_pcm(self._server, self._caller, body, stack)
            await self._session.push_audio(pcm, rate)
            await self._session.flush()
        except MultiTalkError as error:
            self._outgoing.put_nowait(_error(error, self._locale))

    def _stop_speaking(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None

    async def _from_session(self) -> None:
        while True:
            message = await self._session.receive()
            if message.kind is Kind.FRAME:
                await self._pass_on(message.content)
            elif message.kind is Kind.STATS:
                waiting = self._outgoing.qsize()
                stats = {"type": "stats", **message.json(), "waiting": waiting}
                self._outgoing.put_nowait(json.dumps(stats))
            elif message.kind is Kind.REFUSED:
                self._outgoing.put_nowait(_error(refusal(message), self._locale))

    async def _pass_on(self, frame: bytes) -> None:
        """Queue a frame; for a client that is behind, pictures are left out up to a key frame.

        Raises:
            LimitExceeded: The client reads nothing any more.
        """
        waiting = self._outgoing.qsize()
        if waiting > GIVEN_UP:
            raise LimitExceeded("live_client_too_slow", seconds=GIVEN_UP / FPS)
        if self._awaits_key_frame:
            if is_key_frame(frame) and waiting <= CAUGHT_UP:
                self._awaits_key_frame = False
            elif waiting <= CAUGHT_UP:
                await self._session.ask_for_key_frame()
        elif waiting > MAX_WAITING:
            self._awaits_key_frame = True
        self._outgoing.put_nowait(without_video(frame) if self._awaits_key_frame else frame)

    async def _to_client(self) -> None:
        """Send in order."""
        while True:
            content = await self._outgoing.get()
            if isinstance(content, str):
                await self._socket.send_text(content)
            else:
                await self._socket.send_bytes(content)


async def _start_message(socket: WebSocket) -> StartMessage:
    try:
        message = await asyncio.wait_for(socket.receive(), START_SECONDS)
    except asyncio.TimeoutError:
        raise InvalidRequest("live_start_missing", seconds=START_SECONDS) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    given = _parsed(message.get("text") or "null")
    try:
        return StartMessage.model_validate(given)
    except ValidationError as error:
        names = list(StartMessage.model_fields)
        raise one_error(error.errors(include_url=False), known_fields=lambda _: names) from error


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("json_broken", reason=str(error)[:100]) from error
    if not isinstance(given, dict):
        raise InvalidRequest("body_not_an_object", value=brief(given))
    return given


def _upload(server: Server, source: str, owner: str) -> Path:
    if not is_upload(source):
        raise InvalidRequest("live_portrait_refused", field="portrait", value=brief(source))
    return server.uploads.path(source, field="portrait", owner=owner, now=server.clock())


def _error(error: MultiTalkError, locale: Any) -> str:
    return json.dumps({"type": "error", **ErrorReply.of(error, locale).reply()}, ensure_ascii=False)
