"""A process of the server that takes messages on stdin and sends them on stdout."""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

from multitalk.errors import InternalError
from multitalk.serving.live.messages import Message, MessageReader

logger = logging.getLogger(__name__)

END_SECONDS = 2.0
# What the process may know of the server's environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")


class ProcessEnded(InternalError):
    """A session's or a peer's process has ended; nothing more comes from it."""

    def __init__(self) -> None:
        super().__init__("live_session_ended")


@dataclass(eq=False)
class PipedProcess:
    """A process and its two pipes; both carry messages.

    Attributes:
        process: The process, the leader of a group of its own.
        commands: Messages to it.
        output: Messages from it.
    """

    process: asyncio.subprocess.Process
    commands: asyncio.StreamWriter
    output: asyncio.StreamReader

    def __post_init__(self) -> None:
        self._messages = MessageReader(self.output)

    @classmethod
    async def start(cls, module: str) -> "PipedProcess":
        """Start a module, without the server's environment.

        Raises:
            InternalError: It does not start.
        """
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:  # no more processes, memory or descriptors
            logger.error("a process of a live session does not start: %s", error)
            raise InternalError("live_session_ended") from error
        if process.stdin is None or process.stdout is None:
            raise InternalError("live_session_ended")
        return cls(process, process.stdin, process.stdout)

    async def send(self, message: Message) -> None:
        """Send a message; waits while the process is behind.

        Raises:
            ProcessEnded: The process has ended.
        """
        try:
            self.commands.write(message.encode())
            await self.commands.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ProcessEnded from error

    async def receive(self) -> Message:
        """The next message; see `MessageReader.receive`.

        Raises:
            ProcessEnded: The process has ended.
        """
        try:
            return await self._messages.receive()
        except EOFError as error:  # also asyncio.IncompleteReadError
            raise ProcessEnded from error

    async def end(self) -> None:
        """Close the commands, which ends the process; kill it if that does not."""
        self.commands.close()
        try:
            await asyncio.wait_for(self._drain(), END_SECONDS)
        except asyncio.TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def _drain(self) -> None:
        while await self.output.read(2**16):
            pass
        await self.process.wait()
