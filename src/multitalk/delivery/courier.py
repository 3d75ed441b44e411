"""How requests travel to an S3-compatible service: to checked addresses, within a patience.

boto3 makes, signs and reads the requests, and lets another carry them. Its own transport would look
the host up anew after a check, has a time limit for each read only, and cannot be told that the job
was taken back.
"""

import functools
import ipaddress
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore
import httpx

from multitalk.errors import SourceUnreachable
from multitalk.outbound.address import DEFAULT_PORTS, Address, Resolver, addresses_of
from multitalk.outbound.connection import (
    Patience,
    pinned_pool,
)
from multitalk.outbound.lookup import patiently, system_resolver
from multitalk.settings import Network

PIECE_BYTES = 2**18  # of a body, after which it is told how much was sent
MAX_ANSWER_BYTES = 2**20  # that are read; S3's answers to uploads are a few hundred


class Unanswered(Exception):
    """There was no whole answer; another try may have one."""


@dataclass(frozen=True)
class Answer:
    """A whole answer, or the beginning of a longer one."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Courier:
    """Carries requests to one service.

    Args:
        public_only: Whether only public hosts may be reached.
        networks: What may be reached even so.
        field: The request's field that the address came from, for errors.
        resolve: Looks up a host's addresses.
    """

    def __init__(
        self,
        *,
        public_only: bool,
        networks: Sequence[Network],
        field: str = "s3Config.endpointUrl",
        resolve: Resolver = system_resolver,
    ) -> None:
        self._public_only = public_only
        self._networks = networks
        self._field = field
        self._resolve = resolve

    def addresses(self, url: str, *, patience: Patience) -> Sequence[Address]:
        """Where a URL's host may be connected to.

        Raises:
            SourceRefused: The host is not public, and has to be.
            SourceUnreachable: The host has no address.
            DeadlinePassed, Cancelled: As `patience` says.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        resolve = patiently(self._resolve, patience)
        if self._public_only:
            return addresses_of(
                host,
                port,
                field=self._field,
                resolve=resolve,
                networks=self._networks,
            )
        try:
            return [ipaddress.ip_address(text) for text in resolve(host, port)]
        except (OSError, UnicodeError) as error:
            raise SourceUnreachable("host_unknown", host=host) from error

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        patience: Patience,
        on_sent: Callable[[int], None] = lambda _: None,
    ) -> Answer:
        """Send one request, whose URL is signed and therefore kept to the letter.

        Args:
            method: `GET`, `PUT` ...
            url: With its query.
            headers: As they are signed.
            body: What to send.
            patience: Of this request.
            on_sent: Told how many bytes of the body have been sent; may raise to stop.

        Raises:
            Unanswered: No connection, or it broke, or the host is unknown.
            CertificateInvalid: The host could not prove its name.
            SourceRefused: The host is not public, and has to be.
            DeadlinePassed, Cancelled: As `patience` says.
        """
        parts = urlsplit(url)
        target = parts.path + ("?" + parts.query if parts.query else "")
        try:
            pool = pinned_pool(
                self.addresses(url, patience=patience),
                patience=patience,
                ssl_context=_ssl_context() if parts.scheme == "https" else None,
            )
            with (
                pool,
                pool.stream(
                    method,
                    httpcore.URL(
                        scheme=parts.scheme,
                        host=parts.hostname or "",
                        port=parts.port,
                        target=target,
                    ),
                    headers=[*headers.items(), ("Content-Length", str(len(body)))],
                    content=_pieces(body, on_sent),
                ) as answer,
            ):
                return Answer(
                    status=answer.status,
                    headers={
                        name.decode("latin-1").lower(): value.decode("latin-1")
                        for name, value in answer.headers
                    },
                    content=_beginning(answer.iter_stream()),
                )
        except SourceUnreachable as error:
            raise Unanswered("the host is unknown") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise Unanswered("no connection, or it broke") from error
        except httpcore.ProtocolError as error:
            raise Unanswered("the answer is not HTTP, or not whole") from error


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _pieces(body: bytes, on_sent: Callable[[int], None]) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
        on_sent(min(start + PIECE_BYTES, len(body)))


def _beginning(stream: Iterator[bytes]) -> bytes:
    content = b""
    for chunk in stream:
        content += chunk
        if len(content) >= MAX_ANSWER_BYTES:
            break
    return content
