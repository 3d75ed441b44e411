"""What tests of queues open them with."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from multitalk.serving.queue import JobQueue

Opener = Callable[..., Awaitable[JobQueue]]


class Clock:
    """The time, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class LeaseTerm:
    """A lease that a test can let run out, on either kind of queue.

    Attributes:
        seconds: Its length. A NATS server counts by its own clock, so it is short there; yet long
            enough for the few calls that a test makes within one on a busy machine.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._is_counted_elsewhere = url.startswith("nats:")
        self.seconds = 3.0 if self._is_counted_elsewhere else 60.0

    async def run_out(self) -> None:
        """Let its time pass."""
        if self._is_counted_elsewhere:
            await asyncio.sleep(self.seconds)
        else:
            self._clock.ahead += self.seconds + 1
