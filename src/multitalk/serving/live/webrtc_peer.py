"""The server's side of a WebRTC peer, which is a process of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec

from multitalk.errors import InternalError, NotFound
from multitalk.serving.live.messages import (
    RATE,
    Flag,
    Message,
    MessageKind,
    json_message,
    unpack_frame,
)
from multitalk.serving.live.piped_process import PipedProcess
from multitalk.serving.live.session_pool import refusal

PEER_MODULE = "multitalk.serving.live.peer_process"
OPUS_RATE = 48_000  # Hz, RFC 7587, 4.1
ANSWER_SECONDS = 30.0  # with servers for ICE that do not answer
KEY_FRAME = json.dumps({"type": "key_frame"})


class PeerLeft(Exception):
    """The client has left, or the connection is lost."""


def check_webrtc() -> None:
    """Refuse where the extra is not installed.

    Raises:
        NotFound: It is not.
    """
    if find_spec("aiortc") is None:
        raise NotFound("live_webrtc_missing")


class WebRtcPeer:
    """A client's WebRTC connection, once its offer was answered.

    Attributes:
        answer: SDP.
    """

    def __init__(self, process: PipedProcess, answer: str) -> None:
        self.answer = answer
        self._process = process
        self._is_speaking = False

    async def receive(self) -> str | bytes:
        """The next message of the client: text, or sound of 48 000 Hz.

        Raises:
            PeerLeft: The client has left.
        """
        while True:
            try:
                message = await self._process.receive()
            except InternalError as error:
                raise PeerLeft from error
            if message.kind is MessageKind.TEXT:
                return message.content.decode(errors="replace")
            if message.kind is MessageKind.AUDIO:
                return message.content[RATE.size :]
            if message.kind is MessageKind.KEY_FRAME:
                return KEY_FRAME

    async def send(self, message: str | bytes) -> None:
        """Send text by the data channel, a frame by the tracks.

        Raises:
            PeerLeft: The client has left.
        """
        try:
            if isinstance(message, str):
                await self._process.send(Message(MessageKind.TEXT, message.encode()))
                return
            await self._process.send(Message(MessageKind.FRAME, message))
            await self._tell_of_speech(unpack_frame(message).flags)
        except InternalError as error:
            raise PeerLeft from error

    async def _tell_of_speech(self, flags: int) -> None:
        """The tracks do not say when speech begins and ends; a message does."""
        speaks = bool(flags & Flag.SPEAKING) and not flags & Flag.END_OF_SPEECH
        if speaks != self._is_speaking:
            self._is_speaking = speaks
            text = json.dumps({"type": "speech", "speaking": speaks})
            await self._process.send(Message(MessageKind.TEXT, text.encode()))


class StartingPeer:
    """A peer's process before it has answered."""

    def __init__(self, process: PipedProcess) -> None:
        self._process = process

    async def answer(
        self, sdp: str, *, ice_servers: Sequence[Mapping[str, str]], loopback: bool
    ) -> WebRtcPeer:
        """Answer an offer.

        Args:
            sdp: The offer.
            ice_servers: STUN and TURN: `urls`, and `username` and `credential` of TURN.
            loopback: Whether only this machine may reach the peer.

        Raises:
            InvalidRequest: The offer cannot be answered.
            InternalError: The process has ended, or takes too long.
        """
        start = {"sdp": sdp, "ice_servers": list(ice_servers), "loopback": loopback}
        await self._process.send(json_message(MessageKind.START, start))
        try:
            message = await asyncio.wait_for(self._process.receive(), ANSWER_SECONDS)
        except asyncio.TimeoutError as error:
            raise InternalError("live_session_ended") from error
        if message.kind is not MessageKind.READY:
            raise refusal(message)
        return WebRtcPeer(self._process, message.json()["sdp"])


@asynccontextmanager
async def starting_peer() -> AsyncIterator[StartingPeer]:
    """A peer's process, while the context is open."""
    process = await PipedProcess.start(PEER_MODULE)
    try:
        yield StartingPeer(process)
    finally:
        await process.end()
