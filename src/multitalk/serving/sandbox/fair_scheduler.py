"""Fair scheduling of tasks: few of each caller are admitted, and callers take turns."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from multitalk.errors import TooManyRequests

SLOTS = 2  # tasks that run at once
PER_CALLER = 6  # admitted: one runs, the others wait
IN_ALL = 32
RETRY_SECONDS = 5


@dataclass
class Ticket:
    """An admitted task of a caller.

    Attributes:
        caller: Its owner.
        is_low_priority: Whether the caller's other tasks precede it.
    """

    caller: str
    is_low_priority: bool


@dataclass
class _Waiting:
    ticket: Ticket
    order: int
    admitted_future: asyncio.Future[None] = field(repr=False)


class FairScheduler:
    """Admits tasks, and gives each a slot when its caller's turn comes.

    A caller has one slot at most, so one with many tasks delays another by one task at most.

    Args:
        slots: Number of tasks that run at once.
        per_caller: Limit of one caller's admitted tasks.
        in_all: Limit of all admitted tasks.
    """

    def __init__(
        self, *, slots: int = SLOTS, per_caller: int = PER_CALLER, in_all: int = IN_ALL
    ) -> None:
        self._free_slots = slots
        self._per_caller = per_caller
        self._in_all = in_all
        self._admitted: Counter[str] = Counter()
        self._busy_callers: set[str] = set()
        self._waiting: list[_Waiting] = []
        self._counter = itertools.count(1)
        self._last_started: dict[str, int] = {}  # by caller with tasks

    @contextmanager
    def admit(self, caller: str) -> Iterator[Ticket]:
        """Admit a task for the context.

        Raises:
            TooManyRequests: Too many tasks, of this caller or of all.
        """
        if self._admitted[caller] >= self._per_caller:
            raise TooManyRequests(
                "reader_busy_with_yours", seconds=RETRY_SECONDS, count=self._per_caller
            )
        if self._admitted.total() >= self._in_all:
            raise TooManyRequests("reader_busy", seconds=RETRY_SECONDS)
        with self._counted(caller):
            yield Ticket(caller, is_low_priority=False)

    @contextmanager
    def admit_low_priority(self, caller: str) -> Iterator[Ticket]:
        """Admit a task in any case, because it holds no memory while it waits."""
        yield Ticket(caller, is_low_priority=True)

    @contextmanager
    def _counted(self, caller: str) -> Iterator[None]:
        self._admitted[caller] += 1
        try:
            yield
        finally:
            self._admitted[caller] -= 1
            self._forget(caller)

    @asynccontextmanager
    async def slot(self, ticket: Ticket) -> AsyncIterator[None]:
        """Hold a slot for the context, once it is this task's turn."""
        admitted_future = asyncio.get_running_loop().create_future()
        waiting = _Waiting(ticket, next(self._counter), admitted_future)
        self._waiting.append(waiting)
        self._grant_slots()
        try:
            await admitted_future
            yield
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self._free_slots += 1
                self._busy_callers.discard(ticket.caller)
                self._grant_slots()
            self._forget(ticket.caller)

    def _grant_slots(self) -> None:
        """Give free slots to the tasks whose turn it is."""
        while self._free_slots:
            ready = [
                one
                for one in self._waiting
                if one.ticket.caller not in self._busy_callers and not one.admitted_future.done()
            ]
            if not ready:
                return
            chosen = min(ready, key=self._rank)
            self._waiting.remove(chosen)
            self._free_slots -= 1
            self._busy_callers.add(chosen.ticket.caller)
            self._last_started[chosen.ticket.caller] = next(self._counter)
            chosen.admitted_future.set_result(None)

    def _rank(self, one: _Waiting) -> tuple[int, bool, int]:
        """Least recently served caller first; of one caller's, the oldest task first."""
        return self._last_started.get(one.ticket.caller, 0), one.ticket.is_low_priority, one.order

    def _forget(self, caller: str) -> None:
        if self._admitted[caller] <= 0:
            del self._admitted[caller]
            if not any(one.ticket.caller == caller for one in self._waiting):
                self._last_started.pop(caller, None)
