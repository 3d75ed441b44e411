"""uvicorn's HTTP protocol with limits of size and time before authentication.

uvicorn limits neither the headers nor, but for keep-alive, the time. This adds: at most 64 kB in a
row that are not a body (headers, trailers, chunk framing), at most 100 headers, 15 s for the
headers, 30 s without a byte of the body, and 1 kB/s on average. The rest of a body after its
response is read and dropped for a while: a client that still sends when the connection is closed
would not see the response.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from multitalk.errors import LimitExceeded, MultiTalkError, ServerUnavailable
from multitalk.schema import ErrorReply
from multitalk.serving.api.transport.connections import Connections, Reason

MAX_HEAD_BYTES = 64_000
MAX_HEADERS = 100
MAX_PIPELINED = 16  # requests that wait for earlier responses
HEAD_SECONDS = 15.0
QUIET_SECONDS = 30.0
MIN_BODY_RATE = 1000.0  # bytes a second, after the first QUIET_SECONDS
DROP_SECONDS = 5.0
DROP_BYTES = 64_000_000


class _TooManyHeaders(Exception):
    """Too many headers or pipelined requests: stops the parser; stays in this module."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        connections: Of the server.
        config: As of uvicorn's protocols, like the others.
        server_state: Shared by all connections.
        app_state: Of the application.
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        self._is_refused = False  # nothing more is parsed
        self._closes_after_body = False  # once the body is received
        self._unframed_bytes = 0  # in a row that are not of a body
        self._awaits_head = True
        self._awaits_body = False
        self._waited_seconds = 0.0  # for the current head or body
        self._quiet_seconds = 0.0
        self._body_bytes = 0
        self._dropping_seconds = 0.0
        self._dropped_bytes = 0

    # Of `Connection` ------------------------------------------------------------------------------

    @property
    def is_authenticated(self) -> bool:
        """Whether a request on it was admitted, or had a signed URL."""
        if self.cycle is None:
            return False
        state = self.cycle.scope.get("state", {})
        return state.get("owner") is not None or state.get("has_signature", False)

    @property
    def is_idle(self) -> bool:
        """Whether no response is being sent: the server waits for the client."""
        return self.cycle is None or self.cycle.response_complete

    def evict(self) -> None:
        """Close the connection in favour of another one."""
        if self.is_idle and not self._is_refused:  # a refused one has its answer already
            self._send_error(
                HTTPStatus.SERVICE_UNAVAILABLE, ServerUnavailable("too_many_connections")
            )
            self.transport.close()
        else:
            self.transport.abort()

    def add_time(self, seconds: float) -> Reason | None:
        """Add time to the client's; where it is too slow, close and return the reason."""
        if self.transport.is_closing():
            return None
        if self._is_refused or (self._awaits_body and (self._closes_after_body or self.is_idle)):
            return self._add_drop_time(seconds)
        if self._awaits_body:
            return self._add_body_time(seconds)
        if self._awaits_head and self.is_idle:
            return self._add_head_time(seconds)
        return None

    # Of the transport and the parser --------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection, or close it."""
        super().connection_made(transport)
        if not self._connections.enter(self):
            self.evict()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser in pieces within the limit."""
        if self._is_refused:
            self._drop(len(data))
            return
        self._quiet_seconds = 0.0
        if not self._awaits_body:
            self._awaits_head = True
        start = 0
        while start < len(data) and not (self._is_refused or self.transport.is_closing()):
            piece = data[start : start + MAX_HEAD_BYTES - self._unframed_bytes]
            start += len(piece)
            self._unframed_bytes += len(piece)
            super().data_received(piece)
            if self._unframed_bytes >= MAX_HEAD_BYTES:
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    LimitExceeded("headers_too_large", limit=MAX_HEAD_BYTES // 1000),
                    "headers too large",
                )

    def on_headers_complete(self) -> None:
        """Check the number of headers and of pipelined requests.

        Raises:
            _TooManyHeaders: They are too many.
        """
        if len(self.headers) > MAX_HEADERS or len(self.pipeline) >= MAX_PIPELINED:
            raise _TooManyHeaders
        self._unframed_bytes = 0
        self._awaits_head, self._awaits_body = False, True
        self._waited_seconds, self._body_bytes = 0.0, 0
        self._dropping_seconds, self._dropped_bytes = 0.0, 0
        super().on_headers_complete()
        if self.cycle is not None and not self.cycle.keep_alive:  # None: it becomes a WebSocket
            self.cycle.transport = _ClosedAfterBody(self)  # type: ignore[assignment]

    @override
    def handle_websocket_upgrade(self) -> None:
        # another protocol takes the connection over, with its own limits
        self._connections.leave(self)
        super().handle_websocket_upgrade()

    @override
    def on_body(self, body: bytes) -> None:
        self._unframed_bytes = 0
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            self._drop(len(body))
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._unframed_bytes = 0
        self._awaits_body = False
        self._waited_seconds = 0.0
        super().on_message_complete()
        if self._closes_after_body:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer 431 where the parser was stopped by too many headers."""
        if self.headers is not None and len(self.headers) > MAX_HEADERS:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                LimitExceeded("headers_too_many", limit=MAX_HEADERS),
                "headers too large",
            )
        elif self.is_idle:
            super().send_400_response(msg)
        else:  # in the middle of an earlier response
            self.transport.abort()

    def close_after_body(self) -> None:
        """Close once the client has sent the rest of its request."""
        if self._awaits_body and not self.transport.is_closing():
            self._closes_after_body = True
        else:
            self.transport.close()

    # Time limits and refusals ---------------------------------------------------------------------

    def _add_head_time(self, seconds: float) -> Reason | None:
        self._waited_seconds += seconds
        if self._waited_seconds <= HEAD_SECONDS:
            return None
        if self._unframed_bytes:  # not to a browser's preconnection
            error = LimitExceeded("headers_too_slow", limit=HEAD_SECONDS)
            self._send_error(HTTPStatus.REQUEST_TIMEOUT, error)
        self.transport.close()
        return "headers too slow"

    def _add_body_time(self, seconds: float) -> Reason | None:
        if self.flow.read_paused:  # the client waits, not the server
            return None
        self._quiet_seconds += seconds
        self._waited_seconds += seconds
        too_few = self._body_bytes < MIN_BODY_RATE * self._waited_seconds
        if self._quiet_seconds <= QUIET_SECONDS and not (
            self._waited_seconds > QUIET_SECONDS and too_few
        ):
            return None
        if not self.cycle.response_started:
            error = LimitExceeded("body_too_slow", limit=QUIET_SECONDS)
            self._send_error(HTTPStatus.REQUEST_TIMEOUT, error)
            self.cycle.disconnected = True  # the application's response is dropped
        self.transport.close()
        return "body too slow"

    def _add_drop_time(self, seconds: float) -> Reason | None:
        self._dropping_seconds += seconds
        if self._dropping_seconds <= DROP_SECONDS:
            return None
        self.transport.abort()
        return "body not wanted"

    def _drop(self, count: int) -> None:
        self._dropped_bytes += count
        if self._dropped_bytes > DROP_BYTES:
            self.transport.abort()

    def _refuse(self, status: HTTPStatus, error: MultiTalkError, reason: Reason) -> None:
        """Send an error and parse nothing more; further data is dropped for a while."""
        self._is_refused = True
        self._connections.count_closed(reason)
        if self.is_idle:
            self._send_error(status, error)
            self.transport.write_eof()
        else:  # in the middle of an earlier response
            self.transport.abort()

    def _send_error(self, status: HTTPStatus, error: MultiTalkError) -> None:
        body = json.dumps(ErrorReply.of(error, "en").reply(), ensure_ascii=False).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)


class _ClosedAfterBody:
    """Transport of a response that closes its connection, after the request's end."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_after_body()
