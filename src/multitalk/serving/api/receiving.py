"""How much of each caller's large bodies is in memory at once; further ones wait unread."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

SMALL_BYTES = 64_000  # of a body that waits for no room
ROOM_BYTES = 64_000_000  # of one caller's bodies, until they are parsed


@dataclass
class _Caller:
    used: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class Receiving:
    """Room for bodies, as much for every caller; who comes first is first.

    Args:
        room: Bytes of one caller's bodies.
    """

    def __init__(self, *, room: int = ROOM_BYTES) -> None:
        self._room = room
        self._callers: dict[str, _Caller] = {}

    @asynccontextmanager
    async def room(self, caller: str, size: int) -> AsyncIterator[None]:
        """Room for `size` bytes of a caller's, as soon as there is; kept while the context is."""
        size = min(size, self._room)
        mine = self._callers.setdefault(caller, _Caller())
        if mine.waiting or mine.used + size > self._room:
            called = asyncio.get_running_loop().create_future()
            place = (size, called)
            mine.waiting.append(place)
            try:
                await called
            except asyncio.CancelledError:
                if place in mine.waiting:
                    mine.waiting.remove(place)
                elif not called.cancelled():  # the room was given just before
                    mine.used -= size
                self._go_on(caller, mine)
                raise
        else:
            mine.used += size
        try:
            yield
        finally:
            mine.used -= size
            self._go_on(caller, mine)

    def _go_on(self, caller: str, mine: _Caller) -> None:
        while mine.waiting and mine.used + mine.waiting[0][0] <= self._room:
            size, called = mine.waiting.popleft()
            if not called.done():
                mine.used += size
                called.set_result(None)
        if not mine.used and not mine.waiting:
            self._callers.pop(caller, None)
