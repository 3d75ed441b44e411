"""JSON request bodies, read within limits of size and of memory for each caller."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from multitalk.errors import LimitExceeded
from multitalk.schema import read_json
from multitalk.schema.json_document import MAX_VALUES
from multitalk.serving.api.config import MEGABYTE, ServeConfig

MAX_LENGTH_DIGITS = 18  # of a number of bytes
LARGE_BODY_BYTES = 2**20  # from here on a body is parsed in a thread, one such at a time
SMALL_BYTES = 64_000  # of a body that waits for no room
ROOM_BYTES = 64_000_000  # of one caller's bodies, until they are parsed


@dataclass
class _Caller:
    used: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class MemoryBudget:
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


def content_length(request: Request) -> int | None:
    """What `Content-Length` says; None where it says nothing."""
    digits = request.headers.get("content-length", "")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if len(digits) <= MAX_LENGTH_DIGITS else 10**MAX_LENGTH_DIGITS


class JsonBody:
    """Dependency: a JSON body, which its model documents.

    FastAPI would read a body whole, before any limit is checked. Here a route gets a `BodyReader`
    and reads it after what it has to check first.

    Args:
        model: Of the body, for `/openapi.json`. The route validates what it reads.
        example: A body that is valid.
        max_bytes: Of the body.
        max_values: Of the document, see `read_json`.
        takes_file: Whether a file may be sent in place of the document.
    """

    def __init__(
        self,
        model: type[BaseModel],
        *,
        example: object,
        max_bytes: Callable[[ServeConfig], int],
        max_values: int = MAX_VALUES,
        takes_file: bool = False,
    ) -> None:
        self.model = model
        self.example = example
        self.takes_file = takes_file
        self._max_bytes = max_bytes
        self._max_values = max_values

    async def __call__(self, request: Request) -> "BodyReader":
        """The reader for a request."""
        max_bytes = self._max_bytes(request.app.state.server.config)
        return BodyReader(request, max_bytes=max_bytes, max_values=self._max_values)


@dataclass(frozen=True)
class BodyReader:
    """Reads the JSON body of one request.

    Attributes:
        request: The request.
        max_bytes: Of its body.
        max_values: Of the document.
    """

    request: Request
    max_bytes: int
    max_values: int

    async def read(self) -> Any:
        """The document; a caller's large ones wait until there is memory for them.

        Raises:
            LimitExceeded: Too many bytes; the rest is not read.
            InvalidRequest: No JSON, or out of the bounds of `multitalk.schema.json_document`.
        """
        request, max_bytes = self.request, self.max_bytes
        size = content_length(request) or 0
        if size > max_bytes:
            raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
        server, owner = request.app.state.server, request.state.owner
        async with AsyncExitStack() as stack:
            parts: list[bytes] = []
            expected, size = size or max_bytes, 0
            async for chunk in request.stream():
                if size <= SMALL_BYTES < size + len(chunk):
                    await stack.enter_async_context(server.body_memory.room(owner, expected))
                size += len(chunk)
                if size > max_bytes:
                    raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
                parts.append(chunk)
            body = b"".join(parts)
            del parts
            if size < LARGE_BODY_BYTES:
                return read_json(body, max_values=self.max_values)
            return await asyncio.get_running_loop().run_in_executor(
                server.json_parser, partial(read_json, body, max_values=self.max_values)
            )
