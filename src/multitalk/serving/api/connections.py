"""The connections of one server: how many there may be, and how long each may take.

Whoever connects is unknown until a request of theirs was admitted: with a key, or without any where
the server has none. There are few places for the unknown. Where they are taken, the one that has
been there longest gives way to the newest: an honest client sends its request within a moment and
is known then, so that many slow connections cost only each other.
"""

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal, Protocol

MAX_UNAUTHENTICATED = 256
MAX_CONNECTIONS = 2048
# Files that one server has open beside its connections; each connection may have one file, too.
OTHER_FILES = 256

LOOK_SECONDS = 1.0
SAY_SECONDS = 60.0

Reason = Literal[
    "too many at once", "headers too large", "headers too slow", "body too slow", "body not wanted"
]

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """What must be known of a connection."""

    @property
    def is_authenticated(self) -> bool:
        """Whether a request on it was admitted."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn: nothing is being answered."""
        ...

    def evict(self) -> None:
        """Close: others need the place."""
        ...

    def add_time(self, seconds: float) -> Reason | None:
        """Take note of time; closes, and says why, where the client took too long."""
        ...


class Connections:
    """All of them; a server has one.

    Args:
        max_unknown: Connections on which nothing was admitted yet.
        max_connections: Of all.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        *,
        max_unauthenticated: int = MAX_UNAUTHENTICATED,
        max_connections: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_unauthenticated = max_unauthenticated
        self._max_connections = max_connections
        self._clock = clock
        self._all: dict[Connection, None] = {}  # the oldest first, here and below
        self._unauthenticated: dict[Connection, None] = {}
        self._closed: Counter[Reason] = Counter()
        self._said_at = -SAY_SECONDS

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    def enter(self, connection: Connection) -> bool:
        """Make room for a new connection; False where there is none."""
        if len(self._unauthenticated) >= self._max_unauthenticated:
            for one in [one for one in self._unauthenticated if one.is_authenticated]:
                del self._unauthenticated[one]
        if len(self._unauthenticated) >= self._max_unauthenticated:
            self._send_away(
                _first_waiting(self._unauthenticated) or next(iter(self._unauthenticated))
            )
        if len(self._all) >= self._max_connections:
            waiting = _first_waiting(self._unauthenticated) or _first_waiting(self._all)
            if waiting is None:
                self.note("too many at once")
                return False
            self._send_away(waiting)
        self._all[connection] = self._unauthenticated[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._all.pop(connection, None)
        self._unauthenticated.pop(connection, None)

    def note(self, reason: Reason) -> None:
        """Count a connection that was closed, for the log."""
        self._closed[reason] += 1

    async def watch(self) -> None:
        """Close who takes too long, until cancelled."""
        looked_at = self._clock()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._clock()
            # What was received while this process was busy is still unread: no client's delay.
            self.look(min(now - looked_at, 2 * LOOK_SECONDS))
            looked_at = now

    def look(self, seconds: float) -> None:
        """Let `seconds` have passed; at most once a minute the log says what was closed."""
        for connection in list(self._all):
            if (reason := connection.add_time(seconds)) is not None:
                self.note(reason)
        now = self._clock()
        if self._closed and now - self._said_at >= SAY_SECONDS:
            told = ", ".join(f"{reason}: {count}" for reason, count in self._closed.items())
            logger.warning("connections closed: %s; open: %d", told, len(self._all))
            self._closed.clear()
            self._said_at = now

    def _send_away(self, connection: Connection) -> None:
        self.leave(connection)
        self.note("too many at once")
        connection.evict()


def _first_waiting(connections: Iterable[Connection]) -> Connection | None:
    return next((one for one in connections if one.is_waiting), None)


def raise_open_file_limit() -> int:
    """Let this process open as many files as it may; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return MAX_CONNECTIONS * 4 if soft == resource.RLIM_INFINITY else soft


def connections_for(limit: int) -> Connections:
    """As many connections as a limit of open files leaves room for."""
    room = max(16, (limit - OTHER_FILES) // 2)
    most = min(MAX_CONNECTIONS, room)
    return Connections(
        max_unauthenticated=min(MAX_UNAUTHENTICATED, most * 2 // 3), max_connections=most
    )
