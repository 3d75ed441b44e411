"""A process of the server that takes messages on stdin and sends them on stdout."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from multitalk.errors import InternalError
from multitalk.serving.live.messages import Message, MessageReader

logger = logging.getLogger(__name__)

END_SECONDS = 2.0
HANGING_SECONDS = 10.0  # without a sign of life, after which a process is killed


class ProcessEnded(InternalError):
    """A session's or a peer's process has ended; nothing more comes from it."""

    def __init__(self, key: str = "live_session_ended", **parameters: Any) -> None:
        super().__init__(key, **parameters)


class ProcessHangs(ProcessEnded):
    """A session's or a peer's process gave no sign of life, and was killed."""

    def __init__(self) -> None:
        super().__init__("live_session_hangs", seconds=HANGING_SECONDS)


@dataclass(eq=False)
class PipedProcess:
    """A process and its two pipes; both carry messages.

    Attributes:
        pid: Of the process, the leader of a group of its own.
        commands: Messages to it.
        output: Messages from it.
        reap: Kills it if it runs, and says how it ended, if that is known.
        returncode: How it ended, once `end` has returned.
    """

    pid: int
    commands: asyncio.StreamWriter
    output: asyncio.StreamReader
    reap: Callable[[], Awaitable[int | None]]
    returncode: int | None = None

    def __post_init__(self) -> None:
        self._messages = MessageReader(self.output)
        self._received = 0  # messages
        self._hangs = False

    async def send(self, message: Message) -> None:
        """Send a message; waits while the process is behind, but goes on taking messages.

        Raises:
            ProcessEnded: The process has ended.
            ProcessHangs: It has taken nothing for `HANGING_SECONDS`.
        """
        try:
            self.commands.write(message.encode())
            waiting = self.commands.transport.get_write_buffer_size()
            while waiting:
                try:
                    await asyncio.wait_for(self.commands.drain(), HANGING_SECONDS)
                    return
                except asyncio.TimeoutError:
                    before, waiting = waiting, self.commands.transport.get_write_buffer_size()
                    if waiting >= before:
                        raise self._killed() from None
            await self.commands.drain()  # raises what has happened to the pipe
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._ended() from error

    async def receive(self) -> Message:
        """The next message; see `MessageReader.receive`.

        Raises:
            ProcessEnded: The process has ended.
        """
        try:
            message = await self._messages.receive()
        except EOFError as error:  # also asyncio.IncompleteReadError
            raise self._ended() from error
        self._received += 1
        return message

    async def watch(self) -> None:
        """Watch a process that sends messages all the time, as long as somebody receives them.

        Seconds are counted, so that a server that was stopped itself, as a laptop that sleeps, does
        not take that for its processes' silence.

        Raises:
            ProcessHangs: None has come for `HANGING_SECONDS`.
        """
        before, silent = self._received, 0
        while silent < HANGING_SECONDS:
            await asyncio.sleep(1.0)
            silent = silent + 1 if self._received == before else 0
            before = self._received
        raise self._killed()

    async def end(self) -> None:
        """Close the commands, which ends the process; kill it if that does not."""
        self.commands.close()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drain(), END_SECONDS)
        self.returncode = await self.reap()

    def _ended(self) -> ProcessEnded:
        return ProcessHangs() if self._hangs else ProcessEnded()

    def _killed(self) -> ProcessHangs:
        """Kill the process, which hangs; the error that says so."""
        self._hangs = True
        logger.error("process %d of a live session hangs and is killed", self.pid)
        self._kill()
        return ProcessHangs()

    def _kill(self) -> None:
        if self.returncode is None:
            for kill in (os.kill, os.killpg):  # it may not lead its group yet
                with suppress(ProcessLookupError):
                    kill(self.pid, signal.SIGKILL)

    async def _drain(self) -> None:
        while await self.output.read(2**16):
            pass
