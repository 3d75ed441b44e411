"""The process that answers are forked from, as the server sees it."""

import asyncio
import contextlib
import signal
import socket
import subprocess
from typing import Any

from multitalk.confinement.run import start_confined
from multitalk.serving.sandbox.ipc import encode_frame, read_frame

START_SECONDS = 60.0  # until it has loaded its libraries; on a busy machine this takes long
END_SECONDS = 10.0  # until a process that was killed is gone
MODULE = "multitalk.serving.sandbox.worker"
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # One thread until it has forked, and few in the forks.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


class ForkServerFailed(OSError):
    """The process cannot be started, or does not answer."""


class Fork:
    """A process for one question.

    Attributes:
        pid: Its number.
    """

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self._reader = reader
        self._writer = writer

    async def ask(self, question: object) -> None:
        """Ask the one question.

        Raises:
            EOFError, OSError: It has ended.
        """
        self._writer.write(encode_frame(question))
        await self._writer.drain()

    async def answer(self) -> Any:
        """The next thing that it says.

        Raises:
            EOFError, OSError: It has ended.
        """
        return await read_frame(self._reader)

    def hang_up(self) -> None:
        """Hear no more of it."""
        self._writer.close()


class ForkServer:
    """The process; started by `start`, and gone after `close`, with all of its forks."""

    def __init__(self, process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._turn = asyncio.Lock()

    @classmethod
    def start(cls) -> "ForkServer":
        """Start it; in the thread of the event loop, with whose end it ends.

        Raises:
            Unstarted: It cannot be started.
        """
        control, theirs = socket.socketpair()
        try:
            with theirs:
                process = start_confined(MODULE, environment=_ENVIRONMENT, control=theirs)
        except OSError as error:
            control.close()
            raise ForkServerFailed(str(error)) from error
        control.setblocking(False)
        return cls(process, control)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    async def fork(self, name: str) -> Fork:
        """A process that will answer a question of this name.

        Raises:
            Unstarted: There is none.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                starting = asyncio.ensure_future(self._command(f"fork {name}", theirs))
                try:
                    pid = await asyncio.shield(starting)
                except asyncio.CancelledError:  # by now it is started, or will be
                    await self._end(await starting)
                    raise
            return Fork(pid, *await asyncio.open_unix_connection(sock=ours))
        except BaseException:
            ours.close()
            raise

    async def end(self, fork: Fork) -> int | None:
        """End a fork, if it has not ended; how it ended, or None where nobody knows.

        Also where this is cancelled, it ends.
        """
        fork.hang_up()
        return await asyncio.shield(asyncio.ensure_future(self._end(fork.pid)))

    async def _end(self, pid: int) -> int | None:
        with contextlib.suppress(ForkServerFailed):
            return await self._command(f"end {pid}")
        return None

    def kill(self) -> None:
        """End it at once, with all of its forks."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # whoever waits for its word waits no more

    async def close(self) -> None:
        """End it, and wait until it has."""
        self.kill()
        ends = asyncio.get_running_loop().time() + END_SECONDS
        while self.is_alive and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(0.01)
        self._control.close()

    async def _command(self, command: str, attached: socket.socket | None = None) -> int:
        """Have it do something; the number that it answers."""
        loop = asyncio.get_running_loop()
        descriptors = [] if attached is None else [attached.fileno()]
        async with self._turn:
            try:
                line = command.encode() + b"\n"
                socket.send_fds(self._control, [line], descriptors)
                answer = await asyncio.wait_for(loop.sock_recv(self._control, 64), START_SECONDS)
                return int(answer)
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                self.kill()
                raise ForkServerFailed(type(error).__name__) from error
