"""Time that a test decides: a schedule of what happens when, and no waiting."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class TestClock:
    """`multitalk.live.Clock`; time goes on only while somebody waits."""

    __test__ = False

    def __init__(self) -> None:
        self.time = 0.0
        self._schedule: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._schedule, (seconds, next(self._order), what))

    def now(self) -> float:
        return self.time

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        end = self.time + seconds
        if self._schedule and self._schedule[0][0] <= end:
            when, _, what = heapq.heappop(self._schedule)
            self.time = max(self.time, when)
            what()
        else:
            self.time = end
