"""Downloads: bounded in bytes and time, every hop checked, nothing taken from the environment."""

import time
from collections.abc import Callable

import httpcore
import httpx

from multitalk.errors import SourceRefused, SourceUnreachable
from multitalk.inputs.intake import Intake
from multitalk.outbound.address import DEFAULT_PORTS, Resolver, addresses_of, shown
from multitalk.outbound.connection import (
    CertificateInvalid,
    DeadlinePassed,
    Patience,
    PinnedTransport,
)
from multitalk.outbound.lookup import patiently, system_resolver
from multitalk.settings import Settings

CHUNK_BYTES = 2**16
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS = {
    "User-Agent": "multitalk-serverless",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # what is compressed could unpack to any size
}


def download_into(
    intake: Intake,
    url: str,
    *,
    field: str,
    settings: Settings,
    cancelled: Callable[[], bool],
    resolve: Resolver = system_resolver,
) -> None:
    """Download `url`, following its redirects.

    Raises:
        SourceRefused: An address that may not be reached, at any hop.
        SourceUnreachable: No answer, not in time, or not a file.
        LimitExceeded: More bytes than are accepted.
        MediaUndecodable: Not a file of the kind that is wanted.
        Cancelled: The job was taken back.
    """
    patience = Patience(time.monotonic() + settings.download_seconds, cancelled)
    host = ""
    try:
        target = _checked_url(httpx.URL(url), field=field)
        for _ in range(settings.max_redirects + 1):
            host = shown(target.raw_host.decode("ascii"))
            transport = _transport(
                target, field=field, settings=settings, patience=patience, resolve=resolve
            )
            onward = _exchange(intake, target, transport=transport, field=field)
            if onward is None:
                return
            target = onward
    except httpx.InvalidURL as error:
        raise SourceRefused("url_malformed", field=field) from error
    except DeadlinePassed as error:
        raise SourceUnreachable(
            "download_too_slow", field=field, host=host, limit=settings.download_seconds
        ) from error
    except CertificateInvalid as error:
        raise SourceUnreachable("certificate_refused", field=field, host=host) from error
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise SourceUnreachable("host_unreachable", field=field, host=host) from error
    except (httpcore.ProtocolError, httpx.HTTPError) as error:
        raise SourceUnreachable("download_broken", field=field, host=host) from error
    raise SourceUnreachable("too_many_redirects", field=field, limit=settings.max_redirects)


def _checked_url(url: httpx.URL, *, field: str) -> httpx.URL:
    """Refuse what the text of a URL alone gives away."""
    if url.scheme not in DEFAULT_PORTS:
        raise SourceRefused("scheme_refused", field=field, scheme=url.scheme[:16])
    if url.userinfo:
        raise SourceRefused("credentials_in_url", field=field)
    if not url.raw_host or url.port not in (None, *range(1, 2**16)):
        raise SourceRefused("url_malformed", field=field)
    return url


def _transport(
    url: httpx.URL, *, field: str, settings: Settings, patience: Patience, resolve: Resolver
) -> PinnedTransport:
    addresses = addresses_of(
        url.raw_host.decode("ascii"),
        url.port or DEFAULT_PORTS[url.scheme],
        field=field,
        resolve=patiently(resolve, patience),
        networks=settings.reachable_networks,
    )
    context = httpx.create_ssl_context() if url.scheme == "https" else None
    return PinnedTransport(addresses, patience=patience, ssl_context=context)


def _exchange(
    intake: Intake, url: httpx.URL, *, transport: PinnedTransport, field: str
) -> httpx.URL | None:
    """One request. Returns where it redirects to, or None when `intake` has the file."""
    client = httpx.Client(transport=transport, trust_env=False, headers=HEADERS)
    with client, client.stream("GET", url, follow_redirects=False) as response:
        if response.status_code in REDIRECTS and "location" in response.headers:
            return _checked_url(url.join(response.headers["location"]), field=field)
        _check_status(response, field=field)
        length = response.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and len(length) < 20:
            intake.expect(int(length))
        for chunk in response.iter_raw(CHUNK_BYTES):
            intake.write(chunk)
    return None


def _check_status(response: httpx.Response, *, field: str) -> None:
    host = shown(response.url.raw_host.decode("ascii"))
    if response.status_code != httpx.codes.OK:
        raise SourceUnreachable(
            "download_status", field=field, host=host, status=response.status_code
        )
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate", "br", "zstd", "compress"):
        raise SourceUnreachable("download_compressed", field=field, host=host, encoding=encoding)
