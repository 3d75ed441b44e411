"""The server's side of the fork server, the process that sandboxed processes are forked from."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from multitalk.confinement.run import start_confined
from multitalk.serving.sandbox.ipc import encode_frame, read_frame

START_SECONDS = 60.0  # to load its libraries on a busy machine
END_SECONDS = 10.0  # for a killed process to disappear
MODULE = "multitalk.serving.sandbox.worker"
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # One thread until it forks, few in the forks.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


class ForkServerFailed(OSError):
    """The fork server cannot be started, or does not answer."""


class Fork:
    """A process for one task.

    Attributes:
        pid: Its process id.
    """

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self._reader = reader
        self._writer = writer

    async def send(self, task: object) -> None:
        """Send the task.

        Raises:
            EOFError, OSError: It has exited.
        """
        self._writer.write(encode_frame(task))
        await self._writer.drain()

    async def receive(self) -> Any:
        """Receive the next message.

        Raises:
            EOFError, OSError: It has exited.
        """
        return await read_frame(self._reader)

    def close_connection(self) -> None:
        """Close the connection."""
        self._writer.close()


class ForkServer:
    """The fork server: started by `start`, killed with all of its forks by `close`."""

    def __init__(self, process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._lock = asyncio.Lock()

    @classmethod
    def start(cls) -> "ForkServer":
        """Start it in the thread of the event loop, with which it ends.

        Raises:
            ForkServerFailed: It cannot be started.
        """
        control, child_end = socket.socketpair()
        try:
            with child_end:
                process = start_confined(MODULE, environment=_ENVIRONMENT, control=child_end)
        except OSError as error:
            control.close()
            raise ForkServerFailed(str(error)) from error
        control.setblocking(False)
        return cls(process, control)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it is running."""
        return self._process.poll() is None

    async def fork(self, name: str) -> Fork:
        """Fork a process for a task of this name.

        Raises:
            ForkServerFailed: It cannot be forked.
        """
        parent_end, child_end = socket.socketpair()
        parent_end.setblocking(False)
        try:
            with child_end:
                pid = await self.fork_with(name, [child_end.fileno()])
            try:
                return Fork(pid, *await asyncio.open_unix_connection(sock=parent_end))
            except BaseException:
                await asyncio.shield(self._kill(pid))
                raise
        except BaseException:
            parent_end.close()
            raise

    async def fork_with(self, name: str, descriptors: Sequence[int]) -> int:
        """Fork a process that is given these descriptors; its process id.

        Raises:
            ForkServerFailed: It cannot be forked.
        """
        starting = asyncio.ensure_future(self._command(f"fork {name}", descriptors))
        try:
            pid = await asyncio.shield(starting)
        except asyncio.CancelledError:  # it is started, or will be
            if (pid := await starting) > 0:
                await self._kill(pid)
            raise
        if pid < 0:
            raise ForkServerFailed(os.strerror(-pid))
        return pid

    async def end(self, fork: Fork) -> int | None:
        """Kill a fork if it runs; its exit status, or None where it is unknown.

        The kill is shielded from cancellation.
        """
        fork.close_connection()
        return await self.end_process(fork.pid)

    async def end_process(self, pid: int) -> int | None:
        """As `end`, of a process that `fork_with` has forked."""
        return await asyncio.shield(asyncio.ensure_future(self._kill(pid)))

    async def _kill(self, pid: int) -> int | None:
        with contextlib.suppress(ForkServerFailed):
            return await self._command(f"end {pid}")
        return None

    def kill(self) -> None:
        """Kill it with all of its forks."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for its answer

    async def close(self) -> None:
        """Kill it, and wait until it has exited."""
        self.kill()
        ends = asyncio.get_running_loop().time() + END_SECONDS
        while self.is_alive and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(0.01)
        self._control.close()

    async def _command(self, command: str, descriptors: Sequence[int] = ()) -> int:
        """Send a command; the number that it answers."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            try:
                line = command.encode() + b"\n"
                socket.send_fds(self._control, [line], descriptors)
                receive = await asyncio.wait_for(loop.sock_recv(self._control, 64), START_SECONDS)
                return int(receive)
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                self.kill()
                raise ForkServerFailed(type(error).__name__) from error
