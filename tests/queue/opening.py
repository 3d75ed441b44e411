"""What tests of queues open them with."""

import time
from collections.abc import Awaitable, Callable

from multitalk.serving.queue import JobQueue

Opener = Callable[..., Awaitable[JobQueue]]


class QueueClock:
    """The time, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class LeaseTerm:
    """A lease that a test can let run out.

    Attributes:
        seconds: Its length.
    """

    seconds = 60.0

    def __init__(self, clock: QueueClock) -> None:
        self._clock = clock

    def run_out(self) -> None:
        """Let its time pass."""
        self._clock.ahead += self.seconds + 1
