"""HTTP client: connects only to the addresses that were checked, bounded in time, cancellable.

A name is resolved once and the connection is pinned to the result, while the `Host` header, the TLS
name and the certificate check stay those of the URL. The deadline covers the whole exchange: the
timeouts of HTTP libraries are per read, so a server that sends one byte now and then, even inside
its headers, would block a worker forever. No redirect is followed, and no proxy of the environment
is used.
"""

import functools
import logging
import os
import select
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import certifi
import httpcore
from typing_extensions import override

from multitalk.net.address import (
    DEFAULT_PORTS,
    Address,
    Resolver,
    checked_addresses,
    resolve_within,
    resolved_addresses,
    system_resolver,
)
from multitalk.net.deadline import Deadline
from multitalk.settings import Network

logging.getLogger("httpcore").setLevel(logging.WARNING)  # it logs URLs, which may be signed

CONNECT_SECONDS = 10.0  # for one of a host's addresses, before the next is tried; then for TLS
WRITE_BYTES = 2**14  # per call: a writable socket takes as much without blocking
SENT_BYTES = 2**18  # of a body between two calls of `on_progress`


class TransportError(Exception):
    """No complete response; another try may get one."""


class ConnectFailed(TransportError):
    """No connection to any of the host's addresses."""


class ConnectionBroken(TransportError):
    """The connection failed during the exchange."""


class ResponseInvalid(TransportError):
    """The response is not HTTP, or not complete."""


class CertificateInvalid(Exception):
    """The host could not prove its name."""


@dataclass(frozen=True)
class Response:
    """A response whose body is read within the client's context.

    Attributes:
        status: The HTTP status.
        headers: By lower-case name.
        chunks: The body, as sent.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]

    @property
    def content_length(self) -> int | None:
        """The announced size in bytes; None where there is none or it is not a number."""
        return decimal(self.headers.get("content-length", ""))

    def read(self, limit: int) -> bytes:
        """The first `limit` bytes of the body, or all of it."""
        content = b""
        for chunk in self.chunks:
            content += chunk
            if len(content) >= limit:
                break
        return content[:limit]


def decimal(text: str) -> int | None:
    """A non-negative integer of ASCII digits, as HTTP writes one; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


class Client:
    """Sends requests, each over a new connection.

    Args:
        networks: Networks that may be reached besides public hosts; None: any address, for a URL of
            the operator's.
        field: The request's field that URLs come from, for errors.
        resolve: Looks up a host's addresses.
    """

    def __init__(
        self,
        *,
        networks: Sequence[Network] | None,
        field: str | None = None,
        resolve: Resolver = system_resolver,
    ) -> None:
        self._networks = networks
        self._field = field
        self._resolve = resolve

    def addresses(self, url: str, deadline: Deadline) -> Sequence[Address]:
        """The addresses to connect to for a URL, in order.

        Raises:
            SourceRefused: The host is not public, and has to be.
            SourceUnreachable: The host has no address.
            DeadlinePassed, Cancelled: As `deadline`.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        resolve = resolve_within(self._resolve, deadline)
        if self._networks is None:
            return resolved_addresses(host, port, field=self._field, resolve=resolve)
        return checked_addresses(
            host, port, field=self._field, resolve=resolve, networks=self._networks
        )

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        deadline: Deadline,
        body: bytes = b"",
        on_progress: Callable[[int], None] | None = None,
    ) -> Iterator[Response]:
        """Send one request and receive its response.

        Args:
            method: `GET`, `PUT` ...
            url: ASCII, http or https; sent unchanged, as it may be signed.
            headers: Sent unchanged.
            deadline: For the exchange, the reading of the body included.
            body: The request's body.
            on_progress: Called with the number of bytes sent; may raise to stop.

        Raises:
            TransportError: No complete response.
            CertificateInvalid: The host could not prove its name.
            SourceRefused, SourceUnreachable: As `addresses`.
            DeadlinePassed, Cancelled: As `deadline`.
        """
        parts = urlsplit(url)
        addresses = self.addresses(url, deadline)
        pool = httpcore.ConnectionPool(
            ssl_context=_ssl_context() if parts.scheme == "https" else None,
            http1=True,
            http2=False,
            network_backend=_PinnedBackend(addresses, deadline),
        )
        target = httpcore.URL(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port,
            target=(parts.path or "/") + ("?" + parts.query if parts.query else ""),
        )
        sent = {"Host": _host_header(parts), **headers}
        if body or method in ("POST", "PUT"):
            sent["Content-Length"] = str(len(body))
        content = _chunks(body, on_progress) if body else None
        with (
            translate_errors(),
            pool,
            pool.stream(method, target, headers=[*sent.items()], content=content) as response,
        ):
            yield Response(
                status=response.status,
                headers={_text(name).lower(): _text(value) for name, value in response.headers},
                chunks=response.iter_stream(),
            )


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the library's errors into TransportError."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise ConnectFailed("no connection") from error
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise ConnectionBroken("the connection broke") from error
    except httpcore.ProtocolError as error:
        raise ResponseInvalid("the response is not HTTP, or not complete") from error


def _host_header(url: SplitResult) -> str:
    """The host as in the URL, with its port unless that is the scheme's default."""
    host = url.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if url.port in (None, DEFAULT_PORTS[url.scheme]) else f"{host}:{url.port}"


def _text(value: bytes) -> str:
    """A header's text: UTF-8, as some servers send it in `Location`, or any bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _ssl_context() -> ssl.SSLContext:
    return _ssl_context_for(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _ssl_context_for(file: str | None, directory: str | None) -> ssl.SSLContext:
    if file or directory:
        return ssl.create_default_context(cafile=file or None, capath=directory or None)
    return ssl.create_default_context(cafile=certifi.where())


def _chunks(body: bytes, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    for start in range(0, len(body), SENT_BYTES):
        yield body[start : start + SENT_BYTES]
        if on_progress is not None:
            on_progress(min(start + SENT_BYTES, len(body)))


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever the host's name."""

    def __init__(self, addresses: Sequence[Address], deadline: Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._addresses
        for address in others:
            try:
                return self._connect(address, port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port)

    def _connect(self, address: Address, port: int) -> httpcore.NetworkStream:
        timeout = min(CONNECT_SECONDS, self._deadline.remaining())
        stream = self._backend.connect_tcp(str(address), port, timeout)
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every wait ends with the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            try:
                return self._stream.read(max_bytes, self._deadline.poll_seconds())
            except httpcore.ReadTimeout:
                continue

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            self._wait_until_writable()
            self._stream.write(buffer[start : start + WRITE_BYTES], self._deadline.remaining())

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._stream.get_extra_info("socket"), select.POLLOUT)
        while not poll.poll(self._deadline.poll_seconds() * 1000):
            continue

    @override
    def close(self) -> None:
        self._stream.close()

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(CONNECT_SECONDS, self._deadline.remaining())
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, seconds)
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise CertificateInvalid from error
            raise
        return _DeadlineStream(stream, self._deadline)

    @override
    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
