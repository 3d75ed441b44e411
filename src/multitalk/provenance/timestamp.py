"""Relay to a time-stamping authority (RFC 3161), limited in time.

c2pa-python sends the query itself, without a timeout. It gets the address of a relay on loopback,
which forwards the query with the package's HTTP client and a deadline.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

from typing_extensions import override

from multitalk.errors import MultiTalkError
from multitalk.net.client import CertificateInvalid, Client, TransportError
from multitalk.net.deadline import Deadline, DeadlinePassed

TIMESTAMP_SECONDS = 5.0  # for all queries of one video
MAX_QUERY_BYTES = 2**16
MAX_REPLY_BYTES = 2**18
POLL_SECONDS = 0.05
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"

logger = logging.getLogger(__name__)


@dataclass
class Relay:
    """An address that forwards queries to an authority.

    Attributes:
        url: The address, on loopback.
        has_failed: Whether a query got no reply in time.
    """

    url: str = ""
    has_failed: bool = False


@contextmanager
def relay(authority: str) -> Iterator[Relay]:
    """Forward queries to an authority as long as the context is, for `TIMESTAMP_SECONDS` at most.

    Args:
        authority: URL of the operator's.
    """
    state = Relay()
    deadline: Deadline | None = None  # begins with the first query

    class Handler(BaseHTTPRequestHandler):
        timeout = TIMESTAMP_SECONDS

        def do_POST(self) -> None:
            nonlocal deadline
            deadline = deadline or Deadline(TIMESTAMP_SECONDS)
            size = int(self.headers.get("Content-Length") or 0)
            query = self.rfile.read(min(size, MAX_QUERY_BYTES))
            try:
                reply = _forward(authority, query, deadline)
            except (MultiTalkError, TransportError, CertificateInvalid, DeadlinePassed) as error:
                logger.warning("no time stamp: %s", str(error) or type(error).__name__)
                state.has_failed = True
                self.send_error(502)
                return
            self.send_response(200)
            self.send_header("Content-Type", REPLY)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        @override
        def log_message(self, *_: object) -> None:
            """Nothing: it would go to standard error."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(
            target=server.serve_forever, args=(POLL_SECONDS,), name="time stamps", daemon=True
        )
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _forward(authority: str, query: bytes, deadline: Deadline) -> bytes:
    """The authority's reply to a query.

    Raises:
        TransportError: There is none.
        CertificateInvalid, DeadlinePassed, MultiTalkError: As `Client.request`.
    """
    headers = {"Content-Type": QUERY, "Accept": REPLY}
    with Client(networks=None).request(
        "POST", authority, headers=headers, deadline=deadline, body=query
    ) as response:
        reply = response.read(MAX_REPLY_BYTES)
    if response.status != 200:
        raise TransportError(f"the authority answered with status {response.status}")
    return reply
