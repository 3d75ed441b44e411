"""Time limits that also end by cancellation, and daemon threads."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from multitalk.errors import Cancelled

POLL_SECONDS = 0.25  # how often a wait checks for cancellation

Result = TypeVar("Result")


def never() -> bool:
    """The `cancelled` of an operation that cannot be cancelled."""
    return False


class DeadlinePassed(Exception):
    """The time limit is over."""


class Deadline:
    """The end of an operation: after some seconds, or when it is cancelled.

    Args:
        seconds: The time limit, from now.
        cancelled: Whether the operation was cancelled; polled while waiting.
    """

    def __init__(self, seconds: float, cancelled: Callable[[], bool] = never) -> None:
        self._ends = time.monotonic() + seconds
        self._cancelled = cancelled

    def remaining(self) -> float:
        """Seconds left, more than 0.

        Raises:
            DeadlinePassed: The time is over.
            Cancelled: The operation was cancelled.
        """
        if self._cancelled():
            raise Cancelled
        left = self._ends - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left

    def poll_seconds(self) -> float:
        """The longest wait before this is called again; raises as `remaining`."""
        return min(POLL_SECONDS, self.remaining())

    def shortened(self, seconds: float) -> "Deadline":
        """This deadline, or one `seconds` from now if that is earlier."""
        return Deadline(min(seconds, self.remaining()), self._cancelled)

    def sleep(self, seconds: float) -> None:
        """Sleep; raises as `remaining`."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, self.poll_seconds()))

    def wait_for(self, future: "Future[Result]") -> Result:
        """The result of a future; raises as `remaining`, and what the future raises."""
        while not future.done():
            wait([future], timeout=self.poll_seconds())
        return future.result()


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine, which is cancelled after some seconds.

    In place of `asyncio.wait_for`, which before Python 3.12 loses a cancellation of its caller that
    comes together with the result.

    Raises:
        TimeoutError: asyncio's; the time is over.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=max(0.0, seconds))
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        task.cancel()


def run_in_daemon_thread(work: Callable[[], Result], *, name: str) -> "Future[Result]":
    """Run a function in a new daemon thread, which does not delay the end of the process.

    An executor's few threads are shared and joined at exit: a host that does not answer would
    block them. Cancelling the future does not stop the function.
    """
    future: Future[Result] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # re-raised by `result`
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
