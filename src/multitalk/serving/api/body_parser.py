"""JSON request bodies, read within limits of size and of memory for each caller."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.requests import Request

from multitalk.errors import LimitExceeded
from multitalk.schema import read_json
from multitalk.serving.api.config import MEGABYTE

MAX_LENGTH_DIGITS = 18  # of a number of bytes
LARGE_BODY_BYTES = 2**20  # larger bodies are parsed in a thread, one at a time
SMALL_BYTES = 64_000  # of a body that needs no reservation
MAX_CALLER_BYTES = 64_000_000  # of one caller's bodies, until they are parsed


@dataclass
class _CallerBudget:
    used: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class BodyMemory:
    """Limits the memory for each caller's bodies; waiting ones are admitted in order.

    Args:
        limit: Bytes for one caller.
    """

    def __init__(self, *, limit: int = MAX_CALLER_BYTES) -> None:
        self._limit = limit
        self._callers: dict[str, _CallerBudget] = {}

    @asynccontextmanager
    async def reserve(self, caller: str, size: int) -> AsyncIterator[None]:
        """Reserve `size` bytes of a caller's budget for the context, once they are free."""
        size = min(size, self._limit)
        budget = self._callers.setdefault(caller, _CallerBudget())
        if budget.waiting or budget.used + size > self._limit:
            admitted = asyncio.get_running_loop().create_future()
            entry = (size, admitted)
            budget.waiting.append(entry)
            try:
                await admitted
            except asyncio.CancelledError:
                if entry in budget.waiting:
                    budget.waiting.remove(entry)
                elif not admitted.cancelled():  # it was reserved just before
                    budget.used -= size
                self._admit_waiting(caller, budget)
                raise
        else:
            budget.used += size
        try:
            yield
        finally:
            budget.used -= size
            self._admit_waiting(caller, budget)

    def _admit_waiting(self, caller: str, budget: _CallerBudget) -> None:
        while budget.waiting and budget.used + budget.waiting[0][0] <= self._limit:
            size, admitted = budget.waiting.popleft()
            if not admitted.done():
                budget.used += size
                admitted.set_result(None)
        if not budget.used and not budget.waiting:
            self._callers.pop(caller, None)


def content_length(request: Request) -> int | None:
    """The `Content-Length`; None where it is absent or malformed."""
    digits = request.headers.get("content-length", "")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if len(digits) <= MAX_LENGTH_DIGITS else 10**MAX_LENGTH_DIGITS


class BodyParser:
    """Reads and parses bodies.

    Args:
        memory: For bodies that are being received.
    """

    def __init__(self, memory: BodyMemory | None = None) -> None:
        self.memory = memory or BodyMemory()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="json")

    def close(self) -> None:
        """Parse no further large body."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(self, request: Request, *, max_bytes: int, max_values: int) -> Any:
        """The document of a request's body; a caller's large ones wait until there is memory.

        Args:
            request: Its `state.owner` is the caller.
            max_bytes: Of the body.
            max_values: Of the document, see `read_json`.

        Raises:
            LimitExceeded: Too many bytes; the rest is not read.
            InvalidRequest: No JSON, or out of the bounds of `multitalk.schema.json_document`.
        """
        size = content_length(request) or 0
        if size > max_bytes:
            raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
        owner: str = request.state.owner
        async with AsyncExitStack() as stack:
            parts: list[bytes] = []
            expected, size = size or max_bytes, 0
            async for chunk in request.stream():
                if size <= SMALL_BYTES < size + len(chunk):
                    await stack.enter_async_context(self.memory.reserve(owner, expected))
                size += len(chunk)
                if size > max_bytes:
                    raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
                parts.append(chunk)
            body = b"".join(parts)
            del parts
            if size < LARGE_BODY_BYTES:
                return read_json(body, max_values=max_values)
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, partial(read_json, body, max_values=max_values)
            )
