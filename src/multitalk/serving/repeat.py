"""Background work that is repeated for as long as a process lives."""

import asyncio
from collections.abc import Awaitable, Callable

from multitalk.disk import find_disk_error
from multitalk.errors import MultiTalkError
from multitalk.serving.logs import RateLimitedLog


async def repeat(
    name: str, seconds: float, work: Callable[[], Awaitable[object]], log: RateLimitedLog
) -> None:
    """Do some work again and again, until cancelled; no failure ends it.

    Args:
        name: Of the work, in the log.
        seconds: From its end to its next start.
        work: What to do.
        log: Gets each failure, and the traceback of a crash.
    """
    while True:
        try:
            await work()
            log.resolve(name)
        except MultiTalkError as error:
            log.warn(name, f"{name}: {error}")
        except Exception as error:
            disk = find_disk_error(error)
            reason = "crashed" if disk is None else f"a disk takes nothing more: {disk.strerror}"
            log.warn(name, f"{name}: {reason}", crash=None if disk else error)
        await asyncio.sleep(seconds)
