"""Client of the Hugging Face hub: a file's metadata, and its bytes from any offset.

The library finds the address (`HF_ENDPOINT`), the token (`HF_TOKEN`) and the meaning of errors. The
bytes are read by plain HTTP here, because the library restarts a download that was killed: its
partial files have other names each time (`file_download.py` of 2.4).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, parse_ratelimit_headers

from multitalk.errors import WeightsUnavailable
from multitalk.weights.sets import RemoteFile

# It logs every URL at INFO, and after a redirect a URL's query is a signature.
logging.getLogger("httpx2").setLevel(logging.WARNING)

TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
CLOSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


class TransientHubError(Exception):
    """An error that another try may not meet: no connection, a broken one, 408, 429 or 5xx.

    Attributes:
        retry_after: Seconds that the hub asks to wait, if it does.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class HubMetadata:
    """A file as the hub has it.

    Attributes:
        commit: Of the repository.
        etag: A hash of the content, or whatever a mirror sends.
        size: Bytes.
    """

    commit: str
    etag: str
    size: int


class Hub:
    """Client of the hub, or of a mirror of it.

    Args:
        endpoint: Address; the environment's (`HF_ENDPOINT`) if left out.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint

    def describe(self, file: RemoteFile, *, revision: str) -> HubMetadata:
        """Metadata of a file at a revision.

        Raises:
            TransientHubError: Another try may succeed.
            WeightsUnavailable: Another try fails, too.
        """
        url = self._url(file, revision)
        with _translate_errors(file, revision):
            metadata = get_hf_file_metadata(url, endpoint=self._endpoint)
        if not metadata.commit_hash or not metadata.etag or metadata.size is None:
            raise WeightsUnavailable("weights_no_hub", file=file.key)
        return HubMetadata(metadata.commit_hash, metadata.etag, metadata.size)

    @contextmanager
    def stream(
        self, file: RemoteFile, *, commit: str, start: int
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A file's bytes, as they are received.

        Args:
            file: The file.
            commit: Of the repository, so that all parts of a file are of one version.
            start: First byte.

        Returns:
            The offset of the first byte that the hub sends, `start` or 0, and the bytes.

        Raises:
            TransientHubError: Another try may succeed, from where this one broke off.
            WeightsUnavailable: Another try fails, too.
        """
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            _translate_errors(file, commit),
            get_session().stream(
                "GET",
                self._url(file, commit),
                headers=headers,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
                follow_redirects=True,
            ) as response,
        ):
            hf_raise_for_status(response)
            partial = response.status_code == HTTPStatus.PARTIAL_CONTENT
            if partial and not response.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            ):
                raise TransientHubError("the hub sent another range")
            yield (start if partial else 0), response.iter_bytes()

    def _url(self, file: RemoteFile, revision: str) -> str:
        address: str = hf_hub_url(
            file.repository, file.path, revision=revision, endpoint=self._endpoint
        )
        return address


@contextmanager
def _translate_errors(file: RemoteFile, revision: str) -> Iterator[None]:
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise WeightsUnavailable("weights_offline", file=file.key) from error
    except HfHubHTTPError as error:
        raise _error_of(error.response, file, revision) from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise WeightsUnavailable("weights_no_hub", file=file.key) from error
    except httpx2.RequestError as error:
        raise TransientHubError(str(error) or type(error).__name__) from error


def _error_of(
    response: httpx2.Response, file: RemoteFile, revision: str
) -> TransientHubError | WeightsUnavailable:
    status = response.status_code
    if status in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientHubError(f"HTTP {status}", _retry_after(response))
    if status in CLOSED:
        return WeightsUnavailable("weights_closed", repository=file.repository, status=status)
    if status in GONE:
        return WeightsUnavailable(
            "weights_not_on_hub",
            repository=file.repository,
            path=file.path,
            revision=revision,
        )
    return WeightsUnavailable("weights_refused", file=file.key, status=status)


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds by `Retry-After`, or by the hub's own `RateLimit` header."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isdigit():
        return float(header)
    if header:
        try:
            until = parsedate_to_datetime(header)
        except ValueError:
            return None
        return max((until - datetime.now(timezone.utc)).total_seconds(), 0.0)
    limit = parse_ratelimit_headers(response.headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else None
