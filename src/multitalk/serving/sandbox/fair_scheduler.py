"""Whose question is next: few of each caller are admitted, and callers take turns."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from multitalk.errors import TooManyRequests

PLACES = 2  # questions that are answered at once
PER_CALLER = 6  # admitted: one at work, the others waiting
IN_ALL = 32
RETRY_SECONDS = 5


@dataclass
class Ticket:
    """A question of a caller's that was admitted.

    Attributes:
        caller: Whose it is.
        comes_last: Whether the caller's other questions go before it.
    """

    caller: str
    comes_last: bool


@dataclass
class _Waiting:
    ticket: Ticket
    number: int
    called: asyncio.Future[None] = field(repr=False)


class FairScheduler:
    """Admits questions and gives each a place when it is its caller's turn.

    One caller has one place at most, so that whoever sends many does not keep the others waiting
    for more than one of theirs.

    Args:
        places: How many there are.
        per_caller: How many questions of one caller are admitted.
        in_all: How many of all callers.
    """

    def __init__(
        self, *, places: int = PLACES, per_caller: int = PER_CALLER, in_all: int = IN_ALL
    ) -> None:
        self._free = places
        self._per_caller = per_caller
        self._in_all = in_all
        self._admitted: Counter[str] = Counter()
        self._working: set[str] = set()
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count(1)
        self._last_begun: dict[str, int] = {}  # of callers that have questions here

    @contextmanager
    def admit(self, caller: str) -> Iterator[Ticket]:
        """Count a question while the context is.

        Raises:
            TooManyRequests: One too many, of this caller or of all.
        """
        if self._admitted[caller] >= self._per_caller:
            raise TooManyRequests(
                "reader_busy_with_yours", seconds=RETRY_SECONDS, count=self._per_caller
            )
        if self._admitted.total() >= self._in_all:
            raise TooManyRequests("reader_busy", seconds=RETRY_SECONDS)
        with self._counted(caller):
            yield Ticket(caller, comes_last=False)

    @contextmanager
    def wait_last(self, caller: str) -> Iterator[Ticket]:
        """A question that is always admitted, for it holds nothing while it waits."""
        yield Ticket(caller, comes_last=True)

    @contextmanager
    def _counted(self, caller: str) -> Iterator[None]:
        self._admitted[caller] += 1
        try:
            yield
        finally:
            self._admitted[caller] -= 1
            self._forget(caller)

    @asynccontextmanager
    async def place(self, ticket: Ticket) -> AsyncIterator[None]:
        """A place, once it is this question's turn."""
        called = asyncio.get_running_loop().create_future()
        waiting = _Waiting(ticket, next(self._numbers), called)
        self._waiting.append(waiting)
        self._call()
        try:
            await called
            yield
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self._free += 1
                self._working.discard(ticket.caller)
                self._call()
            self._forget(ticket.caller)

    def _call(self) -> None:
        """Give free places to those whose turn it is."""
        while self._free:
            ready = [
                one
                for one in self._waiting
                if one.ticket.caller not in self._working and not one.called.done()
            ]
            if not ready:
                return
            chosen = min(ready, key=self._rank)
            self._waiting.remove(chosen)
            self._free -= 1
            self._working.add(chosen.ticket.caller)
            self._last_begun[chosen.ticket.caller] = next(self._numbers)
            chosen.called.set_result(None)

    def _rank(self, one: _Waiting) -> tuple[int, bool, int]:
        """The caller that was not served for longest first; of one caller's, the oldest."""
        return self._last_begun.get(one.ticket.caller, 0), one.ticket.comes_last, one.number

    def _forget(self, caller: str) -> None:
        if self._admitted[caller] <= 0:
            del self._admitted[caller]
            if not any(one.ticket.caller == caller for one in self._waiting):
                self._last_begun.pop(caller, None)
