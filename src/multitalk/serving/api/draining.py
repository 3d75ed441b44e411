"""The rest of a refused request's body is read and dropped before the answer.

A client that is still sending would see its connection reset, not the reason: many read the answer
only once they have sent all.
"""

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DROPPED_BYTES = 64 * 10**6  # at most; who sends more may see a reset
DROPPING_SECONDS = 5.0


class Draining:
    """ASGI middleware: a refusal waits until its request has come, within limits.

    Args:
        app: What is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, expects=Headers(scope=scope).get("expect", ""))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await body.drop()
            await send(message)

        await self._app(scope, body.receive, sending)


class _Body:
    """What is received of one request's body."""

    def __init__(self, receive: Receive, *, expects: str) -> None:
        self._receive = receive
        # a client that asks whether to send its body sends none with a refusal
        self._is_over = expects.lower() == "100-continue"

    async def receive(self) -> Message:
        message = await self._receive()
        self._is_over = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Receive what is left."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drop(), DROPPING_SECONDS)

    async def _drop(self) -> None:
        dropped = 0
        while not self._is_over and dropped <= DROPPED_BYTES:
            dropped += len((await self.receive()).get("body", b""))
