"""Rate limits for each key: RunPod's numbers, as token buckets."""

import math
import time
from collections.abc import Callable
from typing import Literal

from multitalk.errors import TooManyRequests

Operation = Literal[
    "run", "runsync", "status", "stream", "cancel", "purge-queue", "upload", "speech", "other"
]

WINDOW_SECONDS = 10.0
# Requests in 10 s; the first six are RunPod's.
COUNTS: dict[Operation, int] = {
    "run": 1000,
    "runsync": 2000,
    "status": 2000,
    "stream": 2000,
    "cancel": 100,
    "purge-queue": 2,
    "upload": 100,
    "speech": 100,
    "other": 2000,
}
MAX_WAITING = 1000  # jobs of one key that are IN_QUEUE
MAX_BUCKETS = 10_000  # the least recently used one is dropped


class RateLimits:
    """A token bucket for each caller and operation, refilled evenly.

    Args:
        factor: Multiplies every count; 0 switches the limits off.
        clock: Monotonic, in seconds.

    Attributes:
        max_waiting: Limit of one key's jobs that are IN_QUEUE; None: no limit.
    """

    def __init__(self, *, factor: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_waiting = math.ceil(MAX_WAITING * factor) if factor else None
        self._factor = factor
        self._clock = clock
        self._buckets: dict[tuple[str, Operation], tuple[float, float]] = {}  # left, when

    def admit(self, caller: str, operation: Operation, *, count: int = 1) -> None:
        """Count a request.

        Args:
            caller: Who sent it.
            operation: Its kind.
            count: Tokens that it takes. A full bucket admits more than its size at once; the debt
                is refilled before the next request is admitted.

        Raises:
            TooManyRequests: The bucket is empty; the error has the seconds to wait.
        """
        if not (self._factor and count):
            return
        size = max(1.0, COUNTS[operation] * self._factor)
        rate = size / WINDOW_SECONDS
        now = self._clock()
        left, when = self._buckets.pop((caller, operation), (size, now))
        left = min(size, left + (now - when) * rate)
        needed = min(count, size)
        admitted = left >= needed
        self._buckets[caller, operation] = (left - count if admitted else left, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.pop(next(iter(self._buckets)))  # least recently used
        if not admitted:
            seconds = math.ceil((needed - left) / rate)
            raise TooManyRequests(
                "rate_limited", seconds=seconds, count=int(size), window=WINDOW_SECONDS
            )
