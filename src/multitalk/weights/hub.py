"""The one door to the Hugging Face hub: what a file there is, and its bytes from any point on.

The library finds the address (`HF_ENDPOINT`), the token (`HF_TOKEN`) and what answers mean. The
bytes are read here, over plain HTTP, because the library begins a download that was killed anew:
its partial files have other names each time (`file_download.py` of 2.4).
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
from multitalk.weights.sets import Wanted

# It logs every URL at INFO, and after a redirect a URL's query is a signature.
logging.getLogger("httpx2").setLevel(logging.WARNING)

PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
CLOSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


class HubHiccup(Exception):
    """Trouble that may pass: no connection, a connection that broke, 408, 429 or 5xx.

    Attributes:
        seconds: How long the hub asks to wait, if it does.
    """

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True)
class Remote:
    """A file as the hub has it.

    Attributes:
        commit: Of the repository.
        etag: A hash of the content, or whatever a mirror gives.
        size: Bytes.
    """

    commit: str
    etag: str
    size: int


class Hub:
    """The hub, or a mirror of it.

    Args:
        endpoint: Address; what the environment says (`HF_ENDPOINT`) if left out.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint

    def describe(self, wanted: Wanted, *, revision: str) -> Remote:
        """What a file is at a revision.

        Raises:
            HubHiccup: Try again.
            WeightsUnavailable: No use trying again.
        """
        url = self._url(wanted, revision)
        with _understood(wanted, revision):
            said = get_hf_file_metadata(url, endpoint=self._endpoint)
        if not said.commit_hash or not said.etag or said.size is None:
            raise WeightsUnavailable("weights_no_hub", file=wanted.key)
        return Remote(said.commit_hash, said.etag, said.size)

    @contextmanager
    def reading(
        self, wanted: Wanted, *, commit: str, start: int
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A file's bytes, as they come.

        Args:
            wanted: The file.
            commit: Of the repository, so that all parts of a file are of one version.
            start: Byte to begin with.

        Returns:
            The byte that the hub begins with, which is `start` or 0, and the bytes.

        Raises:
            HubHiccup: Try again, from where it broke.
            WeightsUnavailable: No use trying again.
        """
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            _understood(wanted, commit),
            get_session().stream(
                "GET",
                self._url(wanted, commit),
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
                raise HubHiccup("another range than asked for")
            yield (start if partial else 0), response.iter_bytes()

    def _url(self, wanted: Wanted, revision: str) -> str:
        address: str = hf_hub_url(
            wanted.repository, wanted.path, revision=revision, endpoint=self._endpoint
        )
        return address


@contextmanager
def _understood(wanted: Wanted, revision: str) -> Iterator[None]:
    """Say what the library's errors mean for us."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise WeightsUnavailable("weights_offline", file=wanted.key) from error
    except HfHubHTTPError as error:
        raise _meaning(error.response, wanted, revision) from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise WeightsUnavailable("weights_no_hub", file=wanted.key) from error
    except httpx2.RequestError as error:
        raise HubHiccup(str(error) or type(error).__name__) from error


def _meaning(
    response: httpx2.Response, wanted: Wanted, revision: str
) -> HubHiccup | WeightsUnavailable:
    status = response.status_code
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return HubHiccup(f"HTTP {status}", _asked_wait(response))
    if status in CLOSED:
        return WeightsUnavailable("weights_closed", repository=wanted.repository, status=status)
    if status in GONE:
        return WeightsUnavailable(
            "weights_not_on_hub",
            repository=wanted.repository,
            path=wanted.path,
            revision=revision,
        )
    return WeightsUnavailable("weights_refused", file=wanted.key, status=status)


def _asked_wait(response: httpx2.Response) -> float | None:
    """Seconds that `Retry-After`, or the hub's own `RateLimit`, asks for."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    if said:
        try:
            until = parsedate_to_datetime(said)
        except ValueError:
            return None
        return max((until - datetime.now(timezone.utc)).total_seconds(), 0.0)
    limit = parse_ratelimit_headers(response.headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else None
