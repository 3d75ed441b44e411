"""HTTP connections that go where they were told to, and end when they must.

A pool for httpcore and a transport for httpx. The addresses are given, so no name is looked up a
second time, while the `Host` header, the TLS name and the certificate's check stay those of the
URL. The deadline is for the whole exchange: httpx's own timeouts are for each read, so a server
that drips a byte now and then, even inside its headers, would hold a worker for ever.
"""

import logging
import select
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import httpcore
import httpx

from multitalk.errors import Cancelled
from multitalk.outbound.address import Address

# Both log URLs and headers, in which there may be signatures.
for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)

CONNECT_SECONDS = 10.0  # for one of a host's addresses, before the next is tried; then for TLS
POLL_SECONDS = 0.25  # how often one that waits looks whether the job was cancelled
WRITE_BYTES = 2**14  # at once: what a socket that takes anything takes without waiting


class DeadlinePassed(Exception):
    """The exchange took longer than it may."""


class CertificateInvalid(Exception):
    """The host could not prove its name."""


@dataclass(frozen=True)
class Patience:
    """How long one exchange may take.

    Attributes:
        deadline: On the clock of `time.monotonic`, in seconds.
        cancelled: Whether the job was taken back.
    """

    deadline: float
    cancelled: Callable[[], bool]

    def left(self) -> float:
        """Seconds until the deadline, more than 0.

        Raises:
            DeadlinePassed: There are none.
            Cancelled: The job was taken back.
        """
        if self.cancelled():
            raise Cancelled
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left

    def pause(self, seconds: float) -> None:
        """Wait, with the errors of `left`."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, POLL_SECONDS, self.left()))


def pinned_pool(
    addresses: Sequence[Address], *, patience: Patience, ssl_context: ssl.SSLContext | None
) -> httpcore.ConnectionPool:
    """One host's connections, made to `addresses` only.

    Args:
        addresses: Tried in order.
        patience: Of the whole exchange.
        ssl_context: Verifies certificates; only https needs it.
    """
    return httpcore.ConnectionPool(
        ssl_context=ssl_context,
        http1=True,
        http2=False,
        network_backend=_PinnedBackend(addresses, patience),
    )


class PinnedTransport(httpx.BaseTransport):
    """A `pinned_pool` for httpx; the arguments are the same."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        patience: Patience,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._pool = pinned_pool(addresses, patience=patience, ssl_context=ssl_context)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; httpx's own transport does the same on its own pool."""
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=cast(Iterable[bytes], request.stream),
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Body(answer)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever host is asked for."""

    def __init__(self, addresses: Sequence[Address], patience: Patience) -> None:
        self._addresses = addresses
        self._patience = patience
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the addresses are known already
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the patience rules
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._addresses
        for address in others:
            try:
                return self._connect(address, port, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, local_address, socket_options)

    def _connect(
        self,
        address: Address,
        port: int,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        timeout = min(CONNECT_SECONDS, self._patience.left())
        stream = self._backend.connect_tcp(
            str(address), port, timeout, local_address, socket_options
        )
        return _PatientStream(stream, self._patience)


class _PatientStream(httpcore.NetworkStream):
    """A stream whose every wait ends with the patience."""

    def __init__(self, stream: httpcore.NetworkStream, patience: Patience) -> None:
        self._stream = stream
        self._patience = patience

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        while True:
            try:
                return self._stream.read(max_bytes, min(POLL_SECONDS, self._patience.left()))
            except httpcore.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for start in range(0, len(buffer), WRITE_BYTES):
            self._wait_until_writable()
            self._stream.write(buffer[start : start + WRITE_BYTES], self._patience.left())

    def _wait_until_writable(self) -> None:
        socket = self._stream.get_extra_info("socket")
        poll = select.poll()
        poll.register(socket, select.POLLOUT)
        while not poll.poll(min(POLL_SECONDS, self._patience.left()) * 1000):
            continue

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = min(CONNECT_SECONDS, self._patience.left())
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise CertificateInvalid from error
            raise
        return _PatientStream(stream, self._patience)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
