"""Limits of the number of connections of a server, and of the time that clients may take.

A connection is unauthenticated until a request on it was admitted. Few of these are allowed: a new
one evicts the oldest. An honest client sends its request at once and is authenticated then, so many
slow connections evict only each other.
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
# Open files of a server beside its connections, each of which may have another one open.
OTHER_FILES = 256

CHECK_SECONDS = 1.0
LOG_SECONDS = 60.0

Reason = Literal[
    "too many at once", "headers too large", "headers too slow", "body too slow", "body not wanted"
]

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection as this module sees it."""

    @property
    def is_authenticated(self) -> bool:
        """Whether a request on it was admitted."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether no response is being sent: the server waits for the client."""
        ...

    def evict(self) -> None:
        """Close the connection in favour of another one."""
        ...

    def add_time(self, seconds: float) -> Reason | None:
        """Add time to the client's; where it is too slow, close and return the reason."""
        ...


class Connections:
    """The connections of a server.

    Args:
        max_unauthenticated: Limit of connections on which no request was admitted yet.
        max_connections: Limit of all.
        clock: Monotonic, in seconds.
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
        self._all: dict[Connection, None] = {}  # the oldest first, as below
        self._unauthenticated: dict[Connection, None] = {}
        self._closed: Counter[Reason] = Counter()
        self._logged_at = -LOG_SECONDS

    @property
    def count(self) -> int:
        """Their number."""
        return len(self._all)

    def enter(self, connection: Connection) -> bool:
        """Register a new connection, evicting another one if necessary; False where none can be."""
        if len(self._unauthenticated) >= self._max_unauthenticated:
            waiting = [one for one in self._unauthenticated if not one.is_authenticated]
            self._unauthenticated = dict.fromkeys(waiting)
        if len(self._unauthenticated) >= self._max_unauthenticated:
            self._evict(_first_idle(self._unauthenticated) or next(iter(self._unauthenticated)))
        if len(self._all) >= self._max_connections:
            idle = _first_idle(self._unauthenticated) or _first_idle(self._all)
            if idle is None:
                self.count_closed("too many at once")
                return False
            self._evict(idle)
        self._all[connection] = self._unauthenticated[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._all.pop(connection, None)
        self._unauthenticated.pop(connection, None)

    def count_closed(self, reason: Reason) -> None:
        """Count a closed connection for the log."""
        self._closed[reason] += 1

    async def run(self) -> None:
        """Close slow connections until cancelled."""
        checked_at = self._clock()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = self._clock()
            # Data that came while this process was busy is still unread: not the client's delay.
            self.check(min(now - checked_at, 2 * CHECK_SECONDS))
            checked_at = now

    def check(self, seconds: float) -> None:
        """Add `seconds` to all clients' time; log what was closed, at most once a minute."""
        for connection in list(self._all):
            if (reason := connection.add_time(seconds)) is not None:
                self.count_closed(reason)
        now = self._clock()
        if self._closed and now - self._logged_at >= LOG_SECONDS:
            counts = ", ".join(f"{reason}: {count}" for reason, count in self._closed.items())
            logger.warning("connections closed: %s; open: %d", counts, len(self._all))
            self._closed.clear()
            self._logged_at = now

    def _evict(self, connection: Connection) -> None:
        self.leave(connection)
        self.count_closed("too many at once")
        connection.evict()


def _first_idle(connections: Iterable[Connection]) -> Connection | None:
    return next((one for one in connections if one.is_idle), None)


def raise_open_file_limit() -> int:
    """Raise the limit of open files as far as possible; the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has another, lower limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return MAX_CONNECTIONS * 4 if soft == resource.RLIM_INFINITY else soft


def connections_for(limit: int) -> Connections:
    """Connections within a limit of open files."""
    available = max(16, (limit - OTHER_FILES) // 2)
    total = min(MAX_CONNECTIONS, available)
    return Connections(
        max_unauthenticated=min(MAX_UNAUTHENTICATED, total * 2 // 3), max_connections=total
    )
