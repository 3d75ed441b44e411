"""Collect a source of any form (URL, data URI, base64, path) as a file that the job owns.

Downloads are bounded in bytes and time, and each redirect is checked like the first URL.
Files of the worker that a request may name are regular files under an allowed root. A server's own
directories there (keys, uploads, videos of all keys) count as outside.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from multitalk.errors import Cancelled, InvalidRequest, SourceRefused, SourceUnreachable
from multitalk.inputs.source import LocalPath, Url, parse_source
from multitalk.inputs.source_file import SourceFile, SourceKind
from multitalk.net.address import DEFAULT_PORTS, VALID_PORTS, Resolver, host_text, system_resolver
from multitalk.net.client import (
    CertificateInvalid,
    Client,
    Response,
    ResponseInvalid,
    TransportError,
)
from multitalk.net.deadline import Deadline, DeadlinePassed, never
from multitalk.paths import PRIVATE_MARK, on_disk
from multitalk.settings import Settings

if TYPE_CHECKING:
    import httpx

CHUNK_BYTES = 2**20  # of a local file
REDIRECTS = (301, 302, 303, 307, 308)
COMPRESSIONS = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")
HEADERS = {
    "User-Agent": "multitalk-serverless",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # a compressed response could expand to any size
}


def collect(
    source: str,
    *,
    field: str,
    kind: SourceKind,
    directory: Path,
    settings: Settings,
    cancelled: Callable[[], bool] = never,
    resolve: Resolver = system_resolver,
) -> Path:
    """Download, decode or copy a source into `directory`.

    Local files are copied, too, so that the checked bytes are the decoded bytes, whoever else may
    write to the original.

    Args:
        source: URL, data URI, base64 or path. A path is absolute or relative to an allowed root, in
            any Unicode normal form.
        field: The request field it came from, such as `audio_paths.person1`, for errors.
        kind: `image`, `visual` (a picture or a video), or `speech` (sound, or a video's sound).
        directory: Exists and belongs to the job, which deletes it.
        settings: Limits, allowed roots and networks that may be reached.
        cancelled: Whether the job was cancelled; polled while waiting.
        resolve: Looks up a host's addresses.

    Returns:
        A new file in `directory`, of a known format of the right kind, named after that format.

    Raises:
        RequestError: With `field`, as `parse_source`, `SourceFile` and `_download`; also
            InvalidRequest for a path outside the roots (symbolic links resolved), the same whether
            it exists or not, for anything but a regular file, and for a server's file.
        Cancelled: The job was cancelled.
    """
    parsed = parse_source(source, field=field)
    with SourceFile(directory, field=field, kind=kind, settings=settings) as file:
        if isinstance(parsed, Url):
            _download(
                file,
                parsed.text,
                field=field,
                settings=settings,
                cancelled=cancelled,
                resolve=resolve,
            )
        elif isinstance(parsed, LocalPath):
            with _open(parsed.text, field=field, roots=settings.allowed_roots) as local:
                size = os.fstat(local.fileno()).st_size
                file.write_all(_chunks(local, cancelled), size=size)
        else:
            file.check_size(parsed.num_bytes)
            file.write(parsed.decode())
        return file.finish()


def _download(
    file: SourceFile,
    url: str,
    *,
    field: str,
    settings: Settings,
    cancelled: Callable[[], bool],
    resolve: Resolver,
) -> None:
    """Download a URL, following its redirects.

    Raises:
        SourceRefused: An address that may not be reached, at any redirect.
        SourceUnreachable: No response, not in time, or not a file.
        LimitExceeded: More bytes than are accepted.
        MediaUndecodable: Not a file of the expected kind.
        Cancelled: The job was cancelled.
    """
    import httpx  # noqa: PLC0415 - for its URLs; it takes as long to load as all of `net`

    deadline = Deadline(settings.download_seconds, cancelled)
    client = Client(networks=settings.reachable_networks, field=field, resolve=resolve)
    host = ""
    try:
        target = _check_url(httpx.URL(url), field=field)
        for _ in range(settings.max_redirects + 1):
            host = host_text(target.raw_host.decode("ascii"))
            with client.request("GET", str(target), headers=HEADERS, deadline=deadline) as response:
                if response.status not in REDIRECTS or "location" not in response.headers:
                    _check(response, field=field, host=host)
                    file.write_all(response.chunks, size=response.content_length)
                    return
            target = _check_url(target.join(response.headers["location"]), field=field)
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


def _check_url(url: "httpx.URL", *, field: str) -> "httpx.URL":
    """Refuse a URL for its text alone."""
    if url.scheme not in DEFAULT_PORTS:
        raise SourceRefused("scheme_refused", field=field, scheme=url.scheme[:16])
    if url.userinfo:
        raise SourceRefused("credentials_in_url", field=field)
    if not url.raw_host or (url.port is not None and url.port not in VALID_PORTS):
        raise SourceRefused("url_malformed", field=field)
    return url


def _check(response: Response, *, field: str, host: str) -> None:
    if response.status != 200:
        raise SourceUnreachable("download_status", field=field, host=host, status=response.status)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in COMPRESSIONS:
        raise SourceUnreachable("download_compressed", field=field, host=host, encoding=encoding)


def _chunks(file: BinaryIO, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        if cancelled():
            raise Cancelled
        yield chunk


def _open(text: str, *, field: str, roots: Sequence[Path]) -> BinaryIO:
    real_roots = [Path(os.path.realpath(on_disk(root))) for root in roots]
    candidates = _paths_under(real_roots, text)
    if not candidates:
        raise InvalidRequest("path_refused", field=field)
    for path in candidates:
        if (file := _open_allowed(path, real_roots)) is not None:
            return file
    raise InvalidRequest("file_missing", field=field)


def _paths_under(roots: Sequence[Path], text: str) -> list[Path]:
    """The paths under a root that a text may mean, links resolved, the exact spelling first."""
    written = [root / text for root in roots]  # an absolute text replaces the root
    spelled = [on_disk(path, may_list=partial(_leads_to, roots)) for path in written]
    exact = [path for path in spelled if path in written]
    resolved = dict.fromkeys(Path(os.path.realpath(path)) for path in (*exact, *spelled))
    return [path for path in resolved if _is_under(path, roots)]


def _open_allowed(path: Path, roots: Sequence[Path]) -> BinaryIO | None:
    """A regular file under a root and outside of servers' directories, or None."""
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    # Check the opened file, not the name: a directory may have become a link since.
    opened = Path(os.path.realpath(f"/proc/self/fd/{descriptor}"))
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if is_file and any(_is_free(opened, root) for root in roots):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def _leads_to(roots: Sequence[Path], directory: Path) -> bool:
    """Whether a directory is under a root, or on the way there."""
    real = Path(os.path.realpath(directory))
    return _is_under(real, roots) or any(root.is_relative_to(real) for root in roots)


def _is_free(path: Path, root: Path) -> bool:
    """Whether a file is under a root, and no directory in between is a server's."""
    if not path.is_relative_to(root):
        return False
    depth = len(path.relative_to(root).parts)
    return not any((folder / PRIVATE_MARK).exists() for folder in path.parents[:depth])


def _is_under(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)
