"""A video in an S3-compatible bucket: stored complete or not at all, and its signed URL.

Requests are signed by botocore and sent by `net.client`. A large video is uploaded in parts, which
are removed after a failure or a cancellation. Transient failures (a broken connection, a busy
service) are retried with growing delays. The URL is tried before it is returned, as not every
service that stores a video also honours signed URLs.
"""

import html
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar
from urllib.parse import quote

from multitalk.bucket import Bucket
from multitalk.errors import DeliveryFailed, SourceUnreachable
from multitalk.net.client import (
    CONNECT_SECONDS,
    CertificateInvalid,
    Client,
    TransportError,
    decimal,
)
from multitalk.net.deadline import Deadline, DeadlinePassed, never
from multitalk.net.retry import retry
from multitalk.settings import Settings

logger = logging.getLogger(__name__)
logging.getLogger("botocore").setLevel(logging.INFO)  # DEBUG has signatures

ENDPOINT_FIELD = "s3Config.endpointUrl"
PART_BYTES = 16 * 2**20  # held in memory at once; a smaller video is sent in one request
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between tries
TRY_SECONDS = 120.0  # for one request: a part at 140 kB/s
ABORT_SECONDS = 5.0  # for the removal of parts, which delays a cancelled job's end
MAX_RESPONSE_BYTES = 2**20  # S3's responses to uploads have a few hundred

TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
TRANSIENT_CODES = (
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "XAmzContentSHA256Mismatch",
)

Result = TypeVar("Result")
OnProgress: TypeAlias = Callable[[int], None]


def upload(
    video: Path,
    *,
    bucket: Bucket,
    name: str,
    settings: Settings,
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] = never,
    waits: Sequence[float] = WAITS,
) -> str:
    """Upload a video to a bucket, under the bucket's prefix.

    Args:
        video: A finished mp4.
        bucket: The bucket.
        name: The video's name in the bucket's folder; an object of that name is replaced.
        settings: The upload's time limit, and the networks that may be reached.
        on_progress: Called with the number of bytes sent; lower again after a failed try.
        cancelled: Whether the job was cancelled.
        waits: Seconds to wait after each failed try; there is one try more than these.

    Returns:
        A URL that downloads it without a key, valid for `bucket.url_seconds`.

    Raises:
        DeliveryFailed: botocore is not installed, or the bucket does not store the video or does
            not return it.
        SourceRefused: A bucket that must be at a public host is not.
        Cancelled: The job was cancelled.
    """
    field = "s3Config" if bucket.public_only else None
    check_library()
    deadline = Deadline(settings.upload_seconds, cancelled)
    target = S3Object(
        bucket, name, client=_client(bucket, settings), deadline=deadline, waits=waits
    )
    try:
        target.put(video, on_progress=on_progress)
        return target.checked_url(size=video.stat().st_size)
    except S3Error as error:
        raise DeliveryFailed("bucket_failed", field=field, reason=error.code) from error
    except (TransportError, SourceUnreachable) as error:
        raise DeliveryFailed("bucket_unreachable", field=field, count=len(waits) + 1) from error
    except DeadlinePassed as error:
        limit = settings.upload_seconds
        raise DeliveryFailed("bucket_too_slow", field=field, limit=limit) from error
    except CertificateInvalid as error:
        raise DeliveryFailed("bucket_failed", field=field, reason="certificate") from error
    except ValueError as error:  # a key or a secret that no header can carry
        reason = type(error).__name__
        raise DeliveryFailed("bucket_failed", field=field, reason=reason) from error


def check_library() -> None:
    """Check that botocore is installed.

    Raises:
        DeliveryFailed: It is not.
    """
    if find_spec("botocore") is None:
        raise DeliveryFailed("bucket_without_library")


def check_reachable(bucket: Bucket, *, settings: Settings) -> None:
    """Check, by name resolution only, that a bucket is at a host that may be reached.

    Raises:
        SourceRefused: It must be at a public host and is not.
        SourceUnreachable: The host is unknown.
    """
    try:
        _client(bucket, settings).addresses(_base_url(bucket), Deadline(CONNECT_SECONDS))
    except DeadlinePassed as error:
        raise SourceUnreachable(
            "host_unknown", field=ENDPOINT_FIELD, host=bucket.endpoint_url
        ) from error


class S3Error(Exception):
    """The service's error response.

    Attributes:
        status: The HTTP status.
        code: S3's error code, or `unknown`. Its message may repeat the request, and is dropped.
        region: The bucket's region, where the service names it.
    """

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.code = _element("Code", content, r"[A-Za-z0-9.]{1,60}") or "unknown"
        region = _element("Region", content, r"[a-z0-9-]{1,40}")
        self.region = region or headers.get("x-amz-bucket-region")
        super().__init__(self.code)


class S3Object:
    """One object of a bucket.

    Args:
        bucket: The bucket.
        name: The object's name in the bucket's folder.
        client: Sends the requests.
        deadline: For all operations together.
        waits: Seconds to wait after each failed try.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        *,
        client: Client,
        deadline: Deadline,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._key = f"{bucket.prefix}/{name}" if bucket.prefix else name
        self._url = f"{_base_url(bucket)}/{quote(self._key, safe='/~')}"
        self._headers = {
            "Content-Type": "video/mp4",
            "Content-Disposition": f'inline; filename="{name}"',
        }
        self._bucket = bucket
        self._region = bucket.region
        self._client = client
        self._deadline = deadline
        self._waits = waits

    def put(self, video: Path, *, on_progress: OnProgress | None = None) -> None:
        """Upload the video, in parts if it is large.

        Raises:
            S3Error, TransportError, CertificateInvalid, SourceRefused, SourceUnreachable,
            DeadlinePassed, Cancelled.
        """
        with video.open("rb") as file:
            first = file.read(PART_BYTES)
            if len(first) == video.stat().st_size:
                self._send("PUT", headers=self._headers, body=first, on_progress=on_progress)
            else:
                self._put_parts(first, file, on_progress)

    def signed_url(self) -> str:
        """A URL that downloads the object until `bucket.url_seconds` from now."""
        from botocore.auth import S3SigV4QueryAuth  # noqa: PLC0415 - an optional part
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        request = AWSRequest("GET", self._url)
        seconds = self._bucket.url_seconds
        S3SigV4QueryAuth(self._credentials(), "s3", self._region, seconds).add_auth(request)
        return str(request.url)

    def checked_url(self, *, size: int) -> str:
        """The signed URL, after a request of its first byte.

        Raises:
            DeliveryFailed: It does not download `size` bytes.
        """
        url = self.signed_url()
        if self._retry(lambda deadline: self._size_behind(url, deadline)) != size:
            raise DeliveryFailed("bucket_gives_nothing")
        return url

    def _put_parts(self, first: bytes, file: BinaryIO, on_progress: OnProgress | None) -> None:
        _, content = self._send("POST", query="uploads=", headers=self._headers)
        upload_id = _element("UploadId", content, r"[^<]+")
        if upload_id is None:
            raise TransportError("the response has no upload id")
        query = f"uploadId={quote(upload_id, safe='~')}"
        with ExitStack() as undo:
            undo.callback(self._abort, query)
            parts: list[str] = []
            before = 0
            for number, body in enumerate(_parts(first, file), start=1):
                headers, _ = self._send(
                    "PUT",
                    query=f"partNumber={number}&{query}",
                    body=body,
                    on_progress=None if on_progress is None else partial(_add, on_progress, before),
                )
                etag = html.escape(headers.get("etag", ""), quote=False)
                parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
                before += len(body)
            self._complete(query, "".join(parts))
            undo.pop_all()

    def _complete(self, query: str, parts: str) -> None:
        body = (
            '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{parts}</CompleteMultipartUpload>"
        )
        try:
            self._send("POST", query=query, body=body.encode())
        except S3Error as error:
            # An earlier try may have succeeded without a response; `checked_url` will show.
            if error.code != "NoSuchUpload":
                raise

    def _abort(self, query: str) -> None:
        """Remove the parts, within a separate time limit."""
        self._deadline = Deadline(ABORT_SECONDS)
        try:
            self._send("DELETE", query=query)
        except (S3Error, CertificateInvalid, DeadlinePassed, TransportError, SourceUnreachable):
            logger.warning("parts of %s may be left in the bucket", self._key)

    def _send(
        self,
        method: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        on_progress: OnProgress | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of the response to a signed request."""
        url = f"{self._url}?{query}" if query else self._url

        def send(deadline: Deadline) -> tuple[Mapping[str, str], bytes]:
            with self._client.request(
                method,
                url,
                headers=self._sign(method, url, headers or {}, body),
                body=body,
                deadline=deadline,
                on_progress=on_progress,
            ) as response:
                content = response.read(MAX_RESPONSE_BYTES)
            # A completion that fails late is answered with 200 and an error.
            if response.status >= 300 or re.search(rb"<Error[ >]", content[:200]):
                raise S3Error(response.status, response.headers, content)
            return response.headers, content

        try:
            return self._retry(send)
        except S3Error as error:
            if error.region in (None, self._region):
                raise
            self._region = error.region
            return self._retry(send)

    def _sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Headers with Signature Version 4, which covers the body.

        Signed URLs would do as well, but not every service accepts them for POST.
        """
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - an optional part
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        request = AWSRequest(method, url, headers=dict(headers), data=body)
        S3SigV4Auth(self._credentials(), "s3", self._region).add_auth(request)
        return dict(request.headers.items())

    def _credentials(self) -> Any:
        from botocore.credentials import Credentials  # noqa: PLC0415 - an optional part

        return Credentials(self._bucket.access_key_id, self._bucket.secret_access_key)

    def _retry(self, call: Callable[[Deadline], Result]) -> Result:
        """Call with a deadline per try, again after transient failures."""

        def attempt() -> Result:
            try:
                return call(self._deadline.shortened(TRY_SECONDS))
            except DeadlinePassed as error:
                self._deadline.remaining()  # raises if the whole time is over
                raise TransportError("no response in time") from error

        return retry(
            attempt,
            on=(S3Error, TransportError, SourceUnreachable),
            delays=self._waits,
            sleep=self._deadline.sleep,
            on_retry=_check_transient,
        )

    def _size_behind(self, url: str, deadline: Deadline) -> int | None:
        """The size of what a URL downloads, or None where it downloads nothing."""
        with self._client.request(
            "GET", url, headers={"Range": "bytes=0-0"}, deadline=deadline
        ) as response:
            pass
        if response.status in TRANSIENT_STATUSES:
            raise TransportError(f"status {response.status}")
        content_range = response.headers.get("content-range", "")
        if response.status == 206 and content_range.startswith("bytes 0-0/"):
            return decimal(content_range.removeprefix("bytes 0-0/"))
        if response.status == 200:
            return response.content_length
        logger.error("the bucket's signed URL is answered with status %d", response.status)
        return None


def _client(bucket: Bucket, settings: Settings) -> Client:
    networks = settings.reachable_networks if bucket.public_only else None
    return Client(networks=networks, field=ENDPOINT_FIELD)


def _base_url(bucket: Bucket) -> str:
    if bucket.name_in_host:
        return bucket.endpoint_url.replace("://", f"://{bucket.name}.")
    return f"{bucket.endpoint_url}/{bucket.name}"


def _add(on_progress: OnProgress, before: int, sent: int) -> None:
    on_progress(before + sent)


def _parts(first: bytes, file: BinaryIO) -> Iterator[bytes]:
    part = first
    while part:
        yield part
        part = file.read(PART_BYTES)


def _check_transient(error: Exception, delay: float) -> None:
    """Raise an error that another try would have, too."""
    if isinstance(error, S3Error) and not (
        error.status in TRANSIENT_STATUSES or error.code in TRANSIENT_CODES
    ):
        raise error
    logger.warning("the bucket: %s; retrying in %g s", error, delay)


def _element(name: str, content: bytes, pattern: str) -> str | None:
    """The text of the first XML element of a name, if it matches a pattern."""
    found = re.search(rf"<{name}>({pattern})</{name}>", content.decode("utf-8", "replace"))
    return html.unescape(found[1]) if found else None
