"""What tests of queues open them with."""

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
