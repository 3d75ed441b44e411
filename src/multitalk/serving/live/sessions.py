"""The server's side of live sessions: their processes, and how many the processor carries."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from multitalk.errors import InternalError, MultiTalkError, TooManyRequests
from multitalk.serving.live.messages import (
    RATE,
    Message,
    MessageKind,
    json_message,
)
from multitalk.serving.live.piped_process import PipedProcess
from multitalk.serving.live.process_forks import ProcessForks
from multitalk.serving.sandbox.ipc import MalformedReply, error_from_json

START_SECONDS = 30.0
RETRY_SECONDS = 30.0  # after which there may be room
SESSION_MODULE = "multitalk.serving.live.session_process"


class LiveSession:
    """One session's process, ready to speak.

    Attributes:
        ready: Width, height and warnings.
        pid: Of the process.
        name: In the log.
    """

    def __init__(self, process: PipedProcess, ready: Mapping[str, Any]) -> None:
        self.ready = ready
        self.name = f"live-{secrets.token_hex(4)}"
        self._process = process

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    async def receive(self) -> Message:
        """The next frame, figures, or refusal.

        Raises:
            ProcessEnded: The process has ended.
        """
        return await self._process.receive()

    async def watch(self) -> None:
        """Watch the process, which sends 25 messages a second.

        Raises:
            ProcessHangs: It sends none.
        """
        await self._process.watch()

    async def push_audio(self, pcm: bytes, rate: int) -> None:
        """Queue sound: int16, little-endian, mono."""
        await self._process.send(Message(MessageKind.AUDIO, RATE.pack(rate) + pcm))

    async def flush(self) -> None:
        """Mark the end of speech."""
        await self._process.send(Message(MessageKind.FLUSH))

    async def interrupt(self) -> None:
        """Drop queued sound, close the mouth."""
        await self._process.send(Message(MessageKind.INTERRUPT))

    async def ask_for_key_frame(self) -> None:
        """Have the next frame be one that can be decoded by itself."""
        await self._process.send(Message(MessageKind.KEY_FRAME))

    async def record(self, *, is_wanted: bool) -> None:
        """Begin or end a recording; its file comes in messages."""
        kind = MessageKind.RECORD if is_wanted else MessageKind.STOP_RECORDING
        await self._process.send(Message(kind))


class LiveSessions:
    """All live sessions of a server, and what their processes are forked from.

    Args:
        limit: How many there may be.

    Attributes:
        count: How many are open, or about to be.
        pids: Their processes, the oldest first.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self.pids: list[int] = []
        self._forks = ProcessForks(SESSION_MODULE)

    def check_room(self) -> None:
        """Refuse another session where there is no room for it.

        Raises:
            TooManyRequests: There is none.
        """
        if self.count >= self.limit:
            raise TooManyRequests("live_sessions_full", seconds=RETRY_SECONDS, limit=self.limit)

    @asynccontextmanager
    async def open(self, options: Mapping[str, Any]) -> AsyncIterator[LiveSession]:
        """A session, while the context is open.

        Args:
            options: Of `multitalk.live.Avatar`; `portrait` is a path. `watermark`: the fields of a
                `Payload`, or None. `profile`: as for `LiveEncoder`. `format`, `locale`: as for
                `SessionProcess`.

        Raises:
            TooManyRequests: There is no room for another one.
            RequestError: What `Avatar` refuses.
            InternalError: The process does not start.
        """
        self.check_room()
        self.count += 1
        process: PipedProcess | None = None
        try:
            process = await self._forks.start()
            session = LiveSession(process, await _begin(process, options))
            self.pids.append(session.pid)
            yield session
        finally:
            self.count -= 1
            if process is not None:
                if process.pid in self.pids:
                    self.pids.remove(process.pid)
                await process.end()

    async def close(self) -> None:
        """End all processes, and start no more."""
        await self._forks.close()


async def _begin(process: PipedProcess, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Start the avatar; the content of READY."""
    await process.send(json_message(MessageKind.START, options))
    try:
        message = await asyncio.wait_for(process.receive(), START_SECONDS)
    except asyncio.TimeoutError as error:
        raise InternalError("live_session_ended") from error
    if message.kind is MessageKind.REFUSED:
        raise refusal(message)
    if message.kind is not MessageKind.READY:
        raise InternalError("live_session_ended")
    ready: Mapping[str, Any] = message.json()
    return ready


def refusal(message: Message) -> MultiTalkError:
    """The error in a message of kind REFUSED."""
    try:
        return error_from_json(json.loads(message.content))
    except (MalformedReply, ValueError):
        return InternalError("live_session_ended")
