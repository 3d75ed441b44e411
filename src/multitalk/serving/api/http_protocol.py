"""HTTP on one connection, bounded before anything is known of the client.

uvicorn's protocol has no limits of headers and no time limits but one. This adds them: at most
64 kB in a row that are no body (a request's headers, trailers, the frames of chunks), at most 100
headers, 15 s for the headers, 30 s without a byte of the body and 1 kB/s on the whole. What remains
of a body after its answer is read and dropped for a while: a client that still sends when the
connection is closed would not see the answer.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from multitalk.errors import LimitExceeded, MultiTalkError, ServerUnavailable
from multitalk.schema import ErrorReply
from multitalk.serving.api.connections import Connections, Reason

MAX_HEAD_BYTES = 64_000
MAX_HEADERS = 100
MAX_PIPELINED = 16  # requests that wait for the answers before them
HEAD_SECONDS = 15.0
QUIET_SECONDS = 30.0
MIN_BODY_RATE = 1000.0  # bytes a second, after the first QUIET_SECONDS
DROP_SECONDS = 5.0
DROP_BYTES = 64_000_000


class _TooMany(Exception):
    """Headers, or requests that wait: ends the parser's work; never leaves this module."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        connections: All of the server's.
        config: As uvicorn's protocols have it, and so are the others.
        server_state: Shared by all protocols.
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
        self._others = connections
        self._is_refused = False  # nothing more is read on it
        self._closes = False  # once the body has come
        self._bare_bytes = 0  # in a row that are no body
        self._awaits_head = True
        self._awaits_body = False
        self._waited_seconds = 0.0  # for the head or the body that is awaited
        self._quiet_seconds = 0.0
        self._body_bytes = 0
        self._dropping_seconds = 0.0
        self._dropped_bytes = 0

    # What the server's connections ask ------------------------------------------------------------

    @property
    def is_authenticated(self) -> bool:
        """Whether a request on it was admitted, or showed a signed address."""
        if self.cycle is None:
            return False
        state = self.cycle.scope.get("state", {})
        return state.get("owner") is not None or state.get("has_signature", False)

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn: nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def evict(self) -> None:
        """Close: others need the place."""
        if self.is_waiting and not self._is_refused:  # which was answered, and only is read out
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, ServerUnavailable("too_many_connections"))
            self.transport.close()
        else:
            self.transport.abort()

    def add_time(self, seconds: float) -> Reason | None:
        """Take note of time; closes, and says why, where the client took too long."""
        if self.transport.is_closing():
            return None
        if self._is_refused or (self._awaits_body and (self._closes or self.is_waiting)):
            return self._passed_while_dropping(seconds)
        if self._awaits_body:
            return self._passed_in_body(seconds)
        if self._awaits_head and self.is_waiting:
            return self._passed_in_head(seconds)
        return None

    # What the transport and the parser call -------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's, if there is room."""
        super().connection_made(transport)
        if not self._others.enter(self):
            self.evict()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's."""
        self._others.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, in pieces that the parser may have."""
        if self._is_refused:
            self._drop(len(data))
            return
        self._quiet_seconds = 0.0
        if not self._awaits_body:
            self._awaits_head = True
        start = 0
        while start < len(data) and not (self._is_refused or self.transport.is_closing()):
            piece = data[start : start + MAX_HEAD_BYTES - self._bare_bytes]
            start += len(piece)
            self._bare_bytes += len(piece)
            super().data_received(piece)
            if self._bare_bytes >= MAX_HEAD_BYTES:
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    LimitExceeded("headers_too_large", limit=MAX_HEAD_BYTES // 1000),
                    "headers too large",
                )

    def on_headers_complete(self) -> None:
        """As uvicorn's, if they are not too many.

        Raises:
            _TooMany: They are.
        """
        if len(self.headers) > MAX_HEADERS or len(self.pipeline) >= MAX_PIPELINED:
            raise _TooMany
        self._bare_bytes = 0
        self._awaits_head, self._awaits_body = False, True
        self._waited_seconds, self._body_bytes = 0.0, 0
        self._dropping_seconds, self._dropped_bytes = 0.0, 0
        super().on_headers_complete()
        if self.cycle is not None and not self.cycle.keep_alive:  # None: it becomes a WebSocket
            self.cycle.transport = _ClosedAfterBody(self)  # type: ignore[assignment]

    def handle_websocket_upgrade(self) -> None:
        """As uvicorn's; from now on another protocol has the connection, with limits of its own."""
        self._others.leave(self)
        super().handle_websocket_upgrade()

    def on_body(self, body: bytes) -> None:
        """As uvicorn's."""
        self._bare_bytes = 0
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            self._drop(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """As uvicorn's."""
        self._bare_bytes = 0
        self._awaits_body = False
        self._waited_seconds = 0.0
        super().on_message_complete()
        if self._closes:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's, which calls it where the parser gives up; it may be for another reason."""
        if self.headers is not None and len(self.headers) > MAX_HEADERS:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                LimitExceeded("headers_too_many", limit=MAX_HEADERS),
                "headers too large",
            )
        elif self.is_waiting:
            super().send_400_response(msg)
        else:  # in the middle of an earlier answer
            self.transport.abort()

    def close_after_body(self) -> None:
        """Close, as soon as the client has sent what it began to send."""
        if self._awaits_body and not self.transport.is_closing():
            self._closes = True
        else:
            self.transport.close()

    # Time and refusals ----------------------------------------------------------------------------

    def _passed_in_head(self, seconds: float) -> Reason | None:
        self._waited_seconds += seconds
        if self._waited_seconds <= HEAD_SECONDS:
            return None
        if self._bare_bytes:  # not to a browser that only was prepared to ask
            error = LimitExceeded("headers_too_slow", limit=HEAD_SECONDS)
            self._say(HTTPStatus.REQUEST_TIMEOUT, error)
        self.transport.close()
        return "headers too slow"

    def _passed_in_body(self, seconds: float) -> Reason | None:
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
            self._say(HTTPStatus.REQUEST_TIMEOUT, error)
            self.cycle.disconnected = True  # what the application answers now is not sent
        self.transport.close()
        return "body too slow"

    def _passed_while_dropping(self, seconds: float) -> Reason | None:
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
        """Answer, and read nothing more; who still sends has a while to see the answer."""
        self._is_refused = True
        self._others.note(reason)
        if self.is_waiting:
            self._say(status, error)
            self.transport.write_eof()
        else:  # in the middle of an earlier answer
            self.transport.abort()

    def _say(self, status: HTTPStatus, error: MultiTalkError) -> None:
        body = json.dumps(ErrorReply.of(error, "en").reply(), ensure_ascii=False).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)


class _ClosedAfterBody:
    """A transport to an answer that ends its connection: closing waits for the request's end."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_after_body()
