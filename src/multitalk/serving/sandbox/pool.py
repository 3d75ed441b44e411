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
from multitalk.serving.sandbox.fair_scheduler import FairScheduler, Ticket
from multitalk.serving.sandbox.fork_server import START_SECONDS, Fork, ForkServer, ForkServerFailed
from multitalk.serving.sandbox.ipc import MalformedReply, error_from_json
from multitalk.settings import Settings

CPU_SECONDS = 10  # of a picture, of recordings or of texts
SPEECH_CPU_SECONDS = 30  # of a text that is to be heard
WAITING = 2.0  # times the CPU's: a busy machine takes longer
IDLE_SECONDS = 120.0  # after which the process with the libraries is ended
TRIES = 2  # to get a process

BASE_MEMORY_BYTES = 768 * 2**20  # libraries, networks and threads' stacks
BYTES_PER_PIXEL = 24  # of the largest picture: decoded, converted, turned; measured: 14
FILE_SLACK_BYTES = 2**20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a process may use for one question.

    Attributes:
        memory_bytes: Of private memory that can be written (RLIMIT_DATA).
        cpu_seconds: Of all its threads.
        wall_seconds: From when it begins to its answer.
        file_bytes: The largest file that it may write.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float
    file_bytes: int

    def told(self) -> dict[str, Any]:
        """The limits as JSON."""
        return asdict(self)


def memory_for(max_image_pixels: int) -> int:
    """Bytes that suffice for a picture of so many pixels."""
    return BASE_MEMORY_BYTES + BYTES_PER_PIXEL * max_image_pixels


class SandboxPool:
    """All reading processes of a server.

    Args:
        work_directory: Where each question has a directory.
        turns: Whose question is next.
        idle_seconds: How long the libraries stay loaded.
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
        self._at_work: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    def directory(self) -> AbstractContextManager[Path]:
        """A directory for a question's files."""
        return job_directory(self._work_directory)

    async def ask(
        self,
        ticket: Ticket,
        name: str,
        given: dict[str, Any],
        *,
        limits: Limits,
        directory: Path,
        field: str,
        readable: Sequence[Path] = (),
    ) -> Any:
        """Have a question answered when it is its turn.

        If this is cancelled, the process is ended.

        Args:
            ticket: An admitted question.
            name: Of a function that answers, in `answering.TASKS`.
            given: Its argument.
            limits: What it may cost.
            directory: Where it may write.
            field: What to blame until the process says what it works on.
            readable: Files and directories that it may read.

        Raises:
            RequestError: As the function's; or the process was ended by what it read.
            WorkerError: As the function's; or no process can be started, or the server ends.
        """
        question = {
            "given": given,
            "limits": limits.told(),
            "directory": str(directory),
            "readable": [str(place) for place in (directory, *readable)],
        }
        work = asyncio.ensure_future(self._answered(ticket, name, question, limits, field))
        self._at_work.add(work)
        work.add_done_callback(self._done)
        try:
            return await work
        except asyncio.CancelledError:
            work.cancel()
            if self._is_closed:
                raise ServerStopping("server_stopping") from None
            raise

    @property
    def pid(self) -> int | None:
        """Number of the process that has the libraries, or None where there is none."""
        return None if self._server is None else self._server.pid

    @property
    def num_at_work(self) -> int:
        """How many questions are answered, or wait for their turn."""
        return len(self._at_work)

    def warm(self) -> None:
        """Load the libraries, for questions that are soon to come."""
        if not self._is_closed:
            try:
                self._running()
            except ForkServerFailed:
                return  # whoever asks is told
            self._rest()

    async def close(self) -> None:
        """End all processes; questions that wait are answered with ServerStopping."""
        self._is_closed = True
        if self._idle is not None:
            self._idle.cancel()
        for work in self._at_work:
            work.cancel()
        self._let_go()
        if self._closing:
            await asyncio.wait(self._closing)

    def _done(self, work: "asyncio.Task[Any]") -> None:
        self._at_work.discard(work)
        if not work.cancelled():
            work.exception()  # who asked may have left at that moment: nobody is to be told

    async def _answered(
        self, ticket: Ticket, name: str, question: object, limits: Limits, field: str
    ) -> Any:
        async with self.scheduler.place(ticket):
            server, fork = await self._forked(name)
            status: int | None = None
            try:
                said = await _said_in_time(fork, question, limits, field)
            finally:
                status = await server.end(fork)
                self._rest()
        return _answer_of(said, status, limits)

    async def _forked(self, name: str) -> tuple[ForkServer, Fork]:
        for _ in range(TRIES):
            try:
                server = self._running()
                return server, await server.fork(name)
            except ForkServerFailed as error:
                logger.warning("no reading process: %s", error)
                self._let_go()
        raise _unavailable()

    def _running(self) -> ForkServer:
        if self._is_closed:
            raise ServerStopping("server_stopping")
        if self._server is None or not self._server.is_alive:
            self._let_go()
            self._server = ForkServer.start()
        return self._server

    def _let_go(self) -> None:
        """End the process with the libraries, and all that it has forked."""
        if self._server is not None:
            self._server.kill()
            closing = asyncio.ensure_future(self._server.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._server = None

    def _rest(self) -> None:
        """End the process with the libraries later, unless there is more to do."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._is_closed:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        if self._at_work:
            self._rest()
        else:
            self._let_go()


@dataclass
class _Said:
    """What a process said last.

    Attributes:
        field: Of the request, that it works on.
        last: Its last word; empty where there was none but that.
        is_late: Whether nothing more was waited for.
    """

    field: str
    last: dict[str, Any]
    is_late: bool = False


async def _said_in_time(fork: Fork, question: object, limits: Limits, field: str) -> _Said:
    loop = asyncio.get_running_loop()
    said = _Said(field, {})
    ends = loop.time() + START_SECONDS  # until it begins
    try:
        await asyncio.wait_for(fork.ask(question), START_SECONDS)
        while True:
            match await asyncio.wait_for(fork.answer(), max(0.0, ends - loop.time())):
                case {"begun": True}:
                    ends = loop.time() + limits.wall_seconds
                case {"at": str(place)}:
                    said.field = place
                case dict(last):
                    said.last = last
                    return said
                case _:
                    return said
    except asyncio.TimeoutError:
        said.is_late = True
    except (EOFError, OSError):  # it has ended
        pass
    return said


def _answer_of(said: _Said, status: int | None, limits: Limits) -> Any:
    match said.last:
        case {"answer": answer}:
            return answer
        case {"error": told}:
            with suppress(MalformedReply):
                raise error_from_json(told)
        case {"broken": str(trace)}:
            logger.error("reading %s failed:\n%s", said.field, trace)
            raise _broken(said.field)
        case {"too_much": True}:
            raise _too_costly(said.field, limits)
    if said.is_late or status in (-signal.SIGKILL, -signal.SIGXCPU):
        raise _too_costly(said.field, limits)
    if status is None:
        raise _unavailable()
    logger.warning("reading %s ended its process with status %d", said.field, status)
    raise _broken(said.field)


def _too_costly(field: str, limits: Limits) -> MultiTalkError:
    return LimitExceeded(
        "reading_too_costly",
        field=field,
        seconds=limits.cpu_seconds,
        memory=limits.memory_bytes / 2**20,
    )


def _broken(field: str) -> MultiTalkError:
    return MediaUndecodable("reading_broken", field=field)


def _unavailable() -> MultiTalkError:
    return EngineUnavailable(
        "engine_unavailable", engine="reading", reason="its process cannot be started"
    )


def limits_for(settings: Settings, cpu_seconds: int = CPU_SECONDS) -> Limits:
    """What one question may cost."""
    return Limits(
        memory_bytes=memory_for(settings.max_image_pixels),
        cpu_seconds=cpu_seconds,
        wall_seconds=WAITING * cpu_seconds,
        file_bytes=settings.max_audio_bytes + FILE_SLACK_BYTES,
    )
