"""Waking those who wait for a change of a file that other processes write, too."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from multitalk.errors import QueueUnavailable

POLL_SECONDS = 0.03


class Pulse:
    """One look at the file every 30 ms serves all that wait; nobody waits, nobody looks.

    Args:
        look: A number that is another one after another process has written.
    """

    def __init__(self, look: Callable[[], Awaitable[int]]) -> None:
        self._look = look
        self._seen = -1
        self._beat = asyncio.Event()
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None

    def mark(self) -> asyncio.Event:
        """What `wait` wants: take it before you look whether there is something to wait for."""
        return self._beat

    def beat(self) -> None:
        """Wake all: this process has written."""
        self._beat.set()
        self._beat = asyncio.Event()

    async def wait(self, mark: asyncio.Event, seconds: float) -> None:
        """Wait for a change since the mark was taken, for so long at most."""
        self._waiting += 1
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(mark.wait(), seconds)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Wake all, and look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.beat()

    async def _poll(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    seen = await self._look()
                except QueueUnavailable:
                    seen = -1  # those who wait will find out
                if seen != self._seen:
                    self._seen = seen
                    self.beat()
        finally:
            self._task = None
