"""Calls that are repeated after transient failures, with exponential backoff."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
Error = TypeVar("Error", bound=Exception)


def backoff(first: float, longest: float, *, seconds: float = math.inf) -> Iterator[float]:
    """Delays for `retry`, each twice the previous one.

    Args:
        first: The first delay in seconds.
        longest: The limit of a delay in seconds.
        seconds: The delays end when the next one would end later than this from now.
    """
    ends = time.monotonic() + seconds

    def delays() -> Iterator[float]:
        delay = min(first, longest)
        while time.monotonic() + delay <= ends:
            yield delay
            delay = min(2 * delay, longest)

    return delays()


def retry(
    call: Callable[[], Result],
    *,
    on: type[Error] | tuple[type[Error], ...],
    delays: Iterable[float],
    sleep: Callable[[float], object] = time.sleep,
    on_retry: Callable[[Error, float], object] | None = None,
) -> Result:
    """Call until it succeeds, or there are no more delays; then its error is raised.

    Args:
        call: Raises one of `on` for a failure that another try may not have.
        on: Errors to retry after.
        delays: Seconds before the second try, the third ...
        sleep: Waits; may raise to give up.
        on_retry: Called before each wait, with the error and the delay; may raise to give up.
    """
    left = iter(delays)
    while True:
        try:
            return call()
        except on as error:
            delay = _next_delay(left, error, on_retry)
        sleep(delay)


async def retry_async(
    call: Callable[[], Awaitable[Result]],
    *,
    on: type[Error] | tuple[type[Error], ...],
    delays: Iterable[float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    on_retry: Callable[[Error, float], object] | None = None,
) -> Result:
    """`retry` for a coroutine function."""
    left = iter(delays)
    while True:
        try:
            return await call()
        except on as error:
            delay = _next_delay(left, error, on_retry)
        await sleep(delay)


def _next_delay(
    left: Iterator[float], error: Error, on_retry: Callable[[Error, float], object] | None
) -> float:
    """The next delay; raises the error if there is none."""
    delay = next(left, None)
    if delay is None:
        raise error
    if on_retry is not None:
        on_retry(error, delay)
    return delay
