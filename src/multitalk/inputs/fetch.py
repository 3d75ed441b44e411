"""Downloads of a caller's URL: bounded in bytes and time, with every redirect checked."""

from collections.abc import Callable

import httpx

from multitalk.errors import SourceRefused, SourceUnreachable
from multitalk.inputs.source_file import SourceFile
from multitalk.net.address import DEFAULT_PORTS, Resolver, shown, system_resolver
from multitalk.net.client import (
    CertificateInvalid,
    Client,
    Response,
    ResponseInvalid,
    TransportError,
)
from multitalk.net.deadline import Deadline, DeadlinePassed
from multitalk.settings import Settings

REDIRECTS = (301, 302, 303, 307, 308)
COMPRESSIONS = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")
HEADERS = {
    "User-Agent": "multitalk-serverless",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # a compressed response could expand to any size
}


def download_into(
    file: SourceFile,
    url: str,
    *,
    field: str,
    settings: Settings,
    cancelled: Callable[[], bool],
    resolve: Resolver = system_resolver,
) -> None:
    """Download a URL, following its redirects.

    Raises:
        SourceRefused: An address that may not be reached, at any redirect.
        SourceUnreachable: No response, not in time, or not a file.
        LimitExceeded: More bytes than are accepted.
        MediaUndecodable: Not a file of the expected kind.
        Cancelled: The job was cancelled.
    """
    deadline = Deadline(settings.download_seconds, cancelled)
    client = Client(networks=settings.reachable_networks, field=field, resolve=resolve)
    host = ""
    try:
        target = _checked_url(httpx.URL(url), field=field)
        for _ in range(settings.max_redirects + 1):
            host = shown(target.raw_host.decode("ascii"))
            with client.request("GET", str(target), headers=HEADERS, deadline=deadline) as response:
                if response.status not in REDIRECTS or "location" not in response.headers:
                    _check(response, field=field, host=host)
                    file.write_all(response.chunks, size=response.content_length)
                    return
            target = _checked_url(target.join(response.headers["location"]), field=field)
    except httpx.InvalidURL as error:
        raise SourceRefused("url_malformed", field=field) from error
    except DeadlinePassed as error:
        raise SourceUnreachable(
            "download_too_slow", field=field, host=host, limit=settings.download_seconds
        ) from error
    except CertificateInvalid as error:
        raise SourceUnreachable("certificate_refused", field=field, host=host) from error
    except ResponseInvalid as error:
        raise SourceUnreachable("download_broken", field=field, host=host) from error
    except TransportError as error:
        raise SourceUnreachable("host_unreachable", field=field, host=host) from error
    raise SourceUnreachable("too_many_redirects", field=field, limit=settings.max_redirects)


def _checked_url(url: httpx.URL, *, field: str) -> httpx.URL:
    """Refuse a URL for its text alone."""
    if url.scheme not in DEFAULT_PORTS:
        raise SourceRefused("scheme_refused", field=field, scheme=url.scheme[:16])
    if url.userinfo:
        raise SourceRefused("credentials_in_url", field=field)
    if not url.raw_host or url.port not in (None, *range(1, 2**16)):
        raise SourceRefused("url_malformed", field=field)
    return url


def _check(response: Response, *, field: str, host: str) -> None:
    if response.status != 200:
        raise SourceUnreachable("download_status", field=field, host=host, status=response.status)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in COMPRESSIONS:
        raise SourceUnreachable("download_compressed", field=field, host=host, encoding=encoding)
