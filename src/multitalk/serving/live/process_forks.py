"""Starts processes of one module, as forks of a process that has imported it."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import BinaryIO

from multitalk.errors import InternalError
from multitalk.serving.live.piped_process import PipedProcess
from multitalk.serving.sandbox.fork_server import ForkServer, ForkServerFailed

logger = logging.getLogger(__name__)

MODULE = "multitalk.serving.live.forking_process"
# What the processes may know of the server's environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # until it forks, at least


class ProcessForks:
    """Processes of one module, each a fork: it starts in hundredths of a second, and shares memory.

    What they are forked from starts with the first, in the thread of the event loop, and ends with
    `close`, with all of them.

    Args:
        module: Its function `main` is a process.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._server: ForkServer | None = None
        self._is_closed = False

    async def start(self) -> PipedProcess:
        """Start a process, without the server's environment.

        Raises:
            InternalError: It does not start.
        """
        try:
            return await _forked(await self._running())
        except OSError as error:  # no more processes, memory or descriptors
            logger.error("a process of a live session does not start: %s", error)
            raise InternalError("live_session_ended") from error

    async def close(self) -> None:
        """End all processes, and start no more."""
        self._is_closed = True
        if self._server is not None:
            await self._server.close()

    async def _running(self) -> ForkServer:
        """The process to fork from; one that has ended, with all of its forks, is replaced."""
        if self._server is not None and not self._server.is_alive:
            ended, self._server = self._server, None
            await ended.close()
        if self._is_closed:
            raise ForkServerFailed("the server ends")
        if self._server is None:
            self._server = _started(self._module)
        return self._server


def _started(module: str) -> ForkServer:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    control, child_end = socket.socketpair()
    try:
        with child_end:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", MODULE, module],
                stdin=child_end.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment | _ONE_THREAD,
                start_new_session=True,
            )
    except OSError:
        control.close()
        raise
    control.setblocking(False)
    return ForkServer(process, control)


async def _forked(server: ForkServer) -> PipedProcess:
    """A fork with two pipes.

    Raises:
        OSError: There is none.
    """
    with ExitStack() as ours:
        with ExitStack() as theirs:
            stdin, commands = _pipe(reader=theirs, writer=ours)
            output, stdout = _pipe(reader=ours, writer=theirs)
            pid = await server.fork_with("process", [stdin.fileno(), stdout.fileno()])
        try:
            process = await _connected(server, pid, commands, output)
        except BaseException:
            await server.end_process(pid)
            raise
        ours.pop_all()  # each is closed with its transport
        return process


async def _connected(
    server: ForkServer, pid: int, commands: BinaryIO, output: BinaryIO
) -> PipedProcess:
    loop = asyncio.get_running_loop()
    with ExitStack() as on_error:
        received = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(received), output
        )
        on_error.callback(reading.close)
        writing, flow = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), commands
        )
        on_error.pop_all()

    async def reap() -> int | None:
        reading.close()
        return await server.end_process(pid)

    return PipedProcess(pid, asyncio.StreamWriter(writing, flow, None, loop), received, reap)


def _pipe(*, reader: ExitStack, writer: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """A pipe's ends, to read from and to write to, which these close."""
    to_read, to_write = os.pipe()
    return (
        reader.enter_context(os.fdopen(to_read, "rb", 0)),
        writer.enter_context(os.fdopen(to_write, "wb", 0)),
    )
