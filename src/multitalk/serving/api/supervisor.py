"""Starts worker processes, restarts those that exit, and stops them with the server."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any

from multitalk.confinement.kernel import parent_death_signal
from multitalk.errors import QueueUnavailable
from multitalk.net.retry import backoff

FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0  # after which an exit does not count as a failed start
EXIT_SECONDS = 30.0  # for a worker to end, its current job included; more than it gives that job
FORCED_STOP_SECONDS = 3.0  # to give its job back; a killed worker costs the job an attempt
POLL_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Supervisor:
    """Keeps workers running while its context is open.

    Each runs in its own session, so that Ctrl-C reaches only the server, which then stops the
    workers. If the server is killed, the kernel sends them SIGTERM.

    Args:
        command: Of one worker; `--worker-id ID` is appended.
        count: Number of workers.
        on_exit: Called with the id of each worker that has exited.
        running: Updated with the ids of the running workers.
        forced: Once it is set, a worker that stops gives its job back at once.
        exit_seconds: For a worker to end.
        forced_stop_seconds: The same, once `forced` is set.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        on_exit: Callable[[str], Awaitable[None]],
        running: set[str] | None = None,
        forced: asyncio.Event | None = None,
        exit_seconds: float = EXIT_SECONDS,
        forced_stop_seconds: float = FORCED_STOP_SECONDS,
    ) -> None:
        self._command = list(command)
        self._on_exit = on_exit
        self._count = count
        self._running = set() if running is None else running
        self._forced = forced or asyncio.Event()
        self._exit_seconds = exit_seconds
        self._forced_stop_seconds = forced_stop_seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Supervisor":
        self._tasks = [
            asyncio.create_task(self._restart_forever(number)) for number in range(self._count)
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _restart_forever(self, number: int) -> None:
        delays = backoff(FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS)
        while True:
            began = time.monotonic()
            code = await self._run_once(number)
            if time.monotonic() - began > STEADY_SECONDS:
                delays = backoff(FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS)
            delay = next(delays)
            logger.error("worker %d ended with %d; a new one in %g s", number, code, delay)
            await asyncio.sleep(delay)

    async def _run_once(self, number: int) -> int:
        # In this thread: the signal is sent when the thread that started the process ends.
        worker_id = f"{socket.gethostname()}-{number}-{secrets.token_hex(6)}"
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*self._command, "--worker-id", worker_id],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=parent_death_signal(signal.SIGTERM),  # noqa: PLW1509 - one system call
        )
        self._running.add(worker_id)
        logger.info("worker %d is process %d", number, process.pid)
        try:
            while (code := process.poll()) is None:
                await asyncio.sleep(POLL_SECONDS)
        except asyncio.CancelledError:
            await asyncio.shield(self._end(process, worker_id))
            raise
        await self._report_exit(worker_id)
        return code

    async def _end(self, process: "subprocess.Popen[bytes]", worker_id: str) -> None:
        process.terminate()
        await _first_of(_wait_for_exit(process), self._forced.wait(), seconds=self._exit_seconds)
        if self._forced.is_set():
            process.terminate()
            await _first_of(_wait_for_exit(process), seconds=self._forced_stop_seconds)
        if process.poll() is None:
            logger.warning("worker process %d has not ended: killed", process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its session, with what it started
        process.wait()
        await self._report_exit(worker_id)

    async def _report_exit(self, worker_id: str) -> None:
        self._running.discard(worker_id)
        try:
            await self._on_exit(worker_id)
        except QueueUnavailable as error:  # the lease expires later
            logger.warning("the job of a worker that ended waits for its lease's end: %s", error)


async def _first_of(*waits: Coroutine[Any, Any, object], seconds: float) -> None:
    """Wait until one of these is done, at most `seconds`."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _wait_for_exit(process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        await asyncio.sleep(POLL_SECONDS)
