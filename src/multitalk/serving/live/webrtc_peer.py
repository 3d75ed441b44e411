"""The server's side of WebRTC: peers, each a process, and the sessions that talk through them."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from multitalk.errors import InternalError, NotFound
from multitalk.schema.validation import brief
from multitalk.serving.live.messages import (
    RATE,
    Flag,
    Message,
    MessageKind,
    json_message,
    unpack_frame,
)
from multitalk.serving.live.piped_process import PipedProcess, ProcessEnded
from multitalk.serving.live.process_forks import ProcessForks
from multitalk.serving.live.sessions import refusal

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
            except ProcessEnded as error:
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
        except ProcessEnded as error:
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


logger = logging.getLogger(__name__)

# Talks until the client leaves; sets the future to the answer for the client.
Conversation = Callable[[asyncio.Future[str]], Awaitable[None]]


@dataclass(frozen=True)
class _Running:
    owner: str
    task: asyncio.Task[None]


class WebRtcSessions:
    """Sessions by their ids."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Running] = {}
        self._forks = ProcessForks(PEER_MODULE)

    @asynccontextmanager
    async def starting_peer(self) -> AsyncIterator[StartingPeer]:
        """A peer's process, while the context is open."""
        process = await self._forks.start()
        try:
            yield StartingPeer(process)
        finally:
            await process.end()

    async def open(self, owner: str, converse: Conversation) -> tuple[str, str]:
        """Start a conversation in the background; its id, and the answer for the client.

        Raises:
            MultiTalkError: The conversation ended with it before there was an answer.
        """
        session_id = secrets.token_hex(16)
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_run(converse, answered))
        self._sessions[session_id] = _Running(owner, task)
        task.add_done_callback(lambda _: self._sessions.pop(session_id, None))
        try:
            return session_id, await answered
        except asyncio.CancelledError:  # the client has gone before its answer
            task.cancel()
            raise

    async def end(self, session_id: str, owner: str) -> None:
        """End a session.

        Raises:
            NotFound: There is none, or it is another's: whoever asks learns nothing.
        """
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise NotFound("live_session_unknown", value=brief(session_id))
        session.task.cancel()
        await asyncio.wait({session.task})

    async def close(self) -> None:
        """End all."""
        tasks = [session.task for session in self._sessions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._forks.close()


async def _run(converse: Conversation, answered: asyncio.Future[str]) -> None:
    try:
        await converse(answered)
    except Exception as error:
        if answered.done():
            logger.exception("a WebRTC session crashed")
        else:
            answered.set_exception(error)
    finally:
        if not answered.done():
            answered.set_exception(InternalError("live_session_ended"))
