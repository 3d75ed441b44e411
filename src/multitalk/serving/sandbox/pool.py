"""Runs tasks on clients' files in sandboxed processes, each within its limits."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multitalk.errors import (
    EngineUnavailable,
    LimitExceeded,
    MediaUndecodable,
    MultiTalkError,
    ServerStopping,
)
from multitalk.job.workdir import job_directory
from multitalk.net.deadline import within
from multitalk.serving.sandbox.fair_scheduler import FairScheduler, Ticket
from multitalk.serving.sandbox.fork_server import START_SECONDS, Fork, ForkServer, ForkServerFailed
from multitalk.serving.sandbox.ipc import MalformedReply, error_from_json
from multitalk.settings import Settings

CPU_SECONDS = 10  # of a picture, of recordings or of texts
SPEECH_CPU_SECONDS = 30  # of a text to be spoken
INSPECTION_CPU_SECONDS = 60  # of a video whose marks are searched for
WALL_PER_CPU = 2.0  # wall seconds for a CPU second, on a busy machine
IDLE_SECONDS = 120.0  # after which the process with the libraries is ended
TRIES = 2  # to start a process

BASE_MEMORY_BYTES = 768 * 2**20  # libraries, networks and threads' stacks
BYTES_PER_PIXEL = 24  # of the largest picture: decoded, converted, turned; measured: 14
FILE_SLACK_BYTES = 2**20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskLimits:
    """Limits of a process for one task.

    Attributes:
        memory_bytes: Of private memory that can be written (RLIMIT_DATA).
        cpu_seconds: Of all its threads.
        wall_seconds: From its start to its result.
        file_bytes: Of one file that it writes.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float
    file_bytes: int


def memory_for(max_image_pixels: int) -> int:
    """Memory limit for pictures of so many pixels, in bytes."""
    return BASE_MEMORY_BYTES + BYTES_PER_PIXEL * max_image_pixels


class SandboxPool:
    """The sandboxed processes of a server.

    Args:
        work_directory: In which each task has a directory.
        scheduler: Orders the tasks of all callers.
        idle_seconds: After which the fork server is stopped.
    """

    def __init__(
        self,
        work_directory: Path,
        *,
        scheduler: FairScheduler | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.scheduler = scheduler or FairScheduler()
        self._work_directory = work_directory
        self._idle_seconds = idle_seconds
        self._server: ForkServer | None = None
        self._running_tasks: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    def directory(self) -> AbstractContextManager[Path]:
        """A temporary directory for a task's files."""
        return job_directory(self._work_directory)

    async def run(
        self,
        ticket: Ticket,
        name: str,
        arguments: dict[str, Any],
        *,
        limits: TaskLimits,
        directory: Path,
        field: str,
        readable: Sequence[Path] = (),
    ) -> Any:
        """Run a task when its ticket's turn comes. Cancelled, its process is killed.

        Args:
            ticket: Of the scheduler.
            name: In `worker.TASKS`.
            arguments: Of its function, as JSON.
            limits: Of its process.
            directory: In which it may write.
            field: Named in errors until the process reports its current field.
            readable: Files and directories that it may read.

        Raises:
            RequestError: Raised by the function, or the file has crashed or exhausted the process.
            WorkerError: Raised by the function, or no process can be started, or the server stops.
        """
        task = {
            "given": arguments,
            "limits": asdict(limits),
            "directory": str(directory),
            "readable": [str(place) for place in (directory, *readable)],
        }
        running = asyncio.ensure_future(self._run_in_fork(ticket, name, task, limits, field))
        self._running_tasks.add(running)
        running.add_done_callback(self._task_done)
        try:
            return await running
        except asyncio.CancelledError:
            running.cancel()
            if self._is_closed:
                raise ServerStopping("server_stopping") from None
            raise

    @property
    def pid(self) -> int | None:
        """Process id of the fork server, or None."""
        return None if self._server is None else self._server.pid

    @property
    def num_running(self) -> int:
        """Number of tasks that run or wait."""
        return len(self._running_tasks)

    def warm(self) -> None:
        """Start the fork server for tasks that are likely to come."""
        if not self._is_closed:
            try:
                self._live_server()
            except ForkServerFailed:
                return  # reported by the task
            self._stop_when_idle()

    async def close(self) -> None:
        """Kill all processes; waiting tasks raise ServerStopping."""
        self._is_closed = True
        if self._idle is not None:
            self._idle.cancel()
        for running in self._running_tasks:
            running.cancel()
        self._drop_server()
        if self._closing:
            await asyncio.wait(self._closing)

    def _task_done(self, running: "asyncio.Task[Any]") -> None:
        self._running_tasks.discard(running)
        if not running.cancelled():
            running.exception()  # retrieved: the caller may have left

    async def _run_in_fork(
        self, ticket: Ticket, name: str, task: object, limits: TaskLimits, field: str
    ) -> Any:
        async with self.scheduler.slot(ticket):
            server, fork = await self._start_fork(name)
            status: int | None = None
            try:
                reply = await _reply_in_time(fork, task, limits, field)
            finally:
                status = await server.end(fork)
                self._stop_when_idle()
        return _result_of(reply, status, limits)

    async def _start_fork(self, name: str) -> tuple[ForkServer, Fork]:
        for _ in range(TRIES):
            try:
                server = self._live_server()
                return server, await server.fork(name)
            except ForkServerFailed as error:
                logger.warning("no sandboxed process: %s", error)
                self._drop_server()
        raise _unavailable()

    def _live_server(self) -> ForkServer:
        if self._is_closed:
            raise ServerStopping("server_stopping")
        if self._server is None or not self._server.is_alive:
            self._drop_server()
            self._server = ForkServer.start()
        return self._server

    def _drop_server(self) -> None:
        """Kill the fork server and its forks."""
        if self._server is not None:
            self._server.kill()
            closing = asyncio.ensure_future(self._server.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._server = None

    def _stop_when_idle(self) -> None:
        """Stop the fork server after `idle_seconds` without tasks."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._is_closed:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_seconds, self._stop_idle)

    def _stop_idle(self) -> None:
        if self._running_tasks:
            self._stop_when_idle()
        else:
            self._drop_server()


@dataclass
class _Reply:
    """The last message of a process.

    Attributes:
        field: Of the request, on which it works.
        last: The message; empty without one.
        timed_out: Whether the next message did not come in time.
    """

    field: str
    last: dict[str, Any]
    timed_out: bool = False


async def _reply_in_time(fork: Fork, task: object, limits: TaskLimits, field: str) -> _Reply:
    loop = asyncio.get_running_loop()
    reply = _Reply(field, {})
    ends, has_begun = loop.time() + START_SECONDS, False
    try:
        await within(START_SECONDS, fork.send(task))
        while True:
            match await within(ends - loop.time(), fork.receive()):
                case {"begun": True} if not has_begun:  # once: a file may have taken it over
                    ends, has_begun = loop.time() + limits.wall_seconds, True
                case {"at": str(place)}:
                    reply.field = place
                case dict(last):
                    reply.last = last
                    return reply
                case _:
                    return reply
    except asyncio.TimeoutError:
        reply.timed_out = True
    except (EOFError, OSError):  # it has exited
        pass
    return reply


def _result_of(reply: _Reply, status: int | None, limits: TaskLimits) -> Any:
    match reply.last:
        case {"answer": answer}:
            return answer
        case {"error": error}:
            with suppress(MalformedReply):
                raise error_from_json(error)
        case {"broken": str(trace)}:
            logger.error("reading %s failed:\n%s", reply.field, trace)
            raise _crash_error(reply.field)
        case {"too_much": True}:
            raise _too_costly(reply.field, limits)
    if reply.timed_out or status in (-signal.SIGKILL, -signal.SIGXCPU):
        raise _too_costly(reply.field, limits)
    if status is None:
        raise _unavailable()
    logger.warning("reading %s ended its process with status %d", reply.field, status)
    raise _crash_error(reply.field)


def _too_costly(field: str, limits: TaskLimits) -> MultiTalkError:
    return LimitExceeded(
        "reading_too_costly",
        field=field,
        seconds=limits.cpu_seconds,
        memory=limits.memory_bytes / 2**20,
    )


def _crash_error(field: str) -> MultiTalkError:
    return MediaUndecodable("reading_broken", field=field)


def _unavailable() -> MultiTalkError:
    return EngineUnavailable(
        "engine_unavailable", engine="reading", reason="its process cannot be started"
    )


def limits_for(settings: Settings, cpu_seconds: int = CPU_SECONDS) -> TaskLimits:
    """The limits of a task, by the operator's settings."""
    return TaskLimits(
        memory_bytes=memory_for(settings.max_image_pixels),
        cpu_seconds=cpu_seconds,
        wall_seconds=WALL_PER_CPU * cpu_seconds,
        file_bytes=settings.max_audio_bytes + FILE_SLACK_BYTES,
    )
