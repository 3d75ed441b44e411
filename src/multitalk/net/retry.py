"""Calls that are repeated after transient failures, with exponential backoff."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
Error = TypeVar("Error", bound=Exception)


def backoff(first: float, longest: float) -> Iterator[float]:
    """Delays in seconds without end, each twice the one before, up to `longest`."""
    return (min(first * 2**number, longest) for number in itertools.count())


def retry(
    call: Callable[[], Result],
    *,
    on: type[Error] | tuple[type[Error], ...],
    delays: Iterable[float],
    sleep: Callable[[float], object] = time.sleep,
    on_retry: Callable[[Error, float], object] | None = None,
) -> Result:
    """Call until it succeeds; once more than there are delays.

    Args:
        call: Raises one of `on` for what another try may change; its last error is raised.
        on: Errors to retry after.
        delays: Seconds before the second try, the third ...
        sleep: Waits; may raise to give up.
        on_retry: Called before each wait, with the error and the delay; may raise to give up.
    """
    for delay in delays:
        try:
            return call()
        except on as error:
            if on_retry is not None:
                on_retry(error, delay)
        sleep(delay)
    return call()


async def retry_async(
    call: Callable[[], Awaitable[Result]],
    *,
    on: type[Error] | tuple[type[Error], ...],
    delays: Iterable[float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    on_retry: Callable[[Error, float], object] | None = None,
) -> Result:
    """`retry` for a coroutine function."""
    for delay in delays:
        try:
            return await call()
        except on as error:
            if on_retry is not None:
                on_retry(error, delay)
        await sleep(delay)
    return await call()
