"""One object of an S3-compatible bucket: put there whole or not at all, and its signed URL.

A large video goes in parts, which a failure or a cancellation removes. What passes (a broken
connection, a busy service) is tried again with growing pauses. The URL is tried before it is handed
out, as not every service that takes a video also honours signed URLs.
"""

import io
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from multitalk.bucket import Bucket
from multitalk.delivery.courier import Courier, Unanswered
from multitalk.errors import DeliveryFailed
from multitalk.outbound.connection import CertificateInvalid, DeadlinePassed, Patience

logger = logging.getLogger(__name__)
logging.getLogger("botocore").setLevel(logging.INFO)  # DEBUG has signatures

PART_BYTES = 16 * 2**20  # held in memory at once; a video of up to one part goes whole
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between tries
TRY_SECONDS = 120.0  # for one request: a part at 140 kB/s
ABORT_SECONDS = 5.0  # for the removal of parts, which the cancellation of the job waits for

BUSY_STATUSES = (408, 425, 429, 500, 502, 503, 504)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: those that pass
BUSY_CODES = (
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


class Store:
    """One object of one bucket.

    Args:
        bucket: Where it is.
        name: What it is called in the bucket's folder.
        courier: Carries the requests.
        patience: Of everything together.
        waits: Seconds to wait after each failed try.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        *,
        courier: Courier,
        patience: Patience,
        waits: Sequence[float],
    ) -> None:
        key = f"{bucket.prefix}/{name}" if bucket.prefix else name
        self._object = {"Bucket": bucket.name, "Key": key}
        self._described = self._object | {
            "ContentType": "video/mp4",
            "ContentDisposition": f'inline; filename="{name}"',
        }
        self._url_seconds = bucket.url_seconds
        self._courier = courier
        self._patience = patience
        self._waits = waits
        self._try = patience  # that is being made
        self._on_sent: Callable[[int], None] = _nothing
        self._client = _client(bucket)
        self._client.meta.events.register("before-send.s3", self._carry)

    def put(self, video: Path, *, on_bytes: Callable[[int], None]) -> None:
        """Upload the video, in parts if it is large; errors are those of boto3 and the courier."""
        with video.open("rb") as file:
            first = file.read(PART_BYTES)
            if len(first) == video.stat().st_size:
                self._on_sent = on_bytes
                self._persist(partial(self._client.put_object, **self._described, Body=first))
            else:
                self._put_parts(first, file, on_bytes)

    def signed_url(self, *, size: int) -> str:
        """The URL that downloads the video.

        Raises:
            DeliveryFailed: It does not, or not `size` bytes.
        """
        url = str(
            self._client.generate_presigned_url(
                "get_object", Params=self._object, ExpiresIn=self._url_seconds
            )
        )
        found = self._persist(partial(self._size_behind, url))
        if found != size:
            raise DeliveryFailed("bucket_gives_nothing")
        return url

    def _put_parts(self, first: bytes, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        made = self._persist(partial(self._client.create_multipart_upload, **self._described))
        target = self._object | {"UploadId": made["UploadId"]}
        with ExitStack() as undo:
            undo.callback(self._abort, target)
            parts: list[dict[str, Any]] = []
            before = 0
            for number, body in enumerate(_parts(first, file), start=1):
                self._on_sent = partial(_add, on_bytes, before)
                given = target | {"PartNumber": number, "Body": body}
                taken = self._persist(partial(self._client.upload_part, **given))
                parts.append({"PartNumber": number, "ETag": taken["ETag"]})
                before += len(body)
            self._on_sent = _nothing
            self._complete(target | {"MultipartUpload": {"Parts": parts}})
            undo.pop_all()

    def _complete(self, whole: dict[str, Any]) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an optional part

        try:
            self._persist(partial(self._client.complete_multipart_upload, **whole))
        except ClientError as error:
            # An earlier try may have been heard and only its answer lost: `signed_url` will tell.
            if code_of(error) != "NoSuchUpload":
                raise

    def _abort(self, target: dict[str, Any]) -> None:
        """Remove the parts, whatever else has ended."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        self._patience = Patience(time.monotonic() + ABORT_SECONDS, lambda: False)
        self._on_sent = _nothing
        try:
            self._persist(partial(self._client.abort_multipart_upload, **target))
        except (BotoCoreError, ClientError, CertificateInvalid, DeadlinePassed, Unanswered):
            logger.warning("parts of %s may be left in the bucket", self._object["Key"])

    def _persist(self, call: Callable[[], Result]) -> Result:
        """Make a call, again and again while what is wrong may pass."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        for wait in self._waits:
            try:
                return self._attempt(call)
            except (ClientError, Unanswered) as error:
                if isinstance(error, ClientError) and not _may_pass(error):
                    raise
                said = error if isinstance(error, Unanswered) else code_of(error)
                logger.warning("the bucket: %s; another try in %g s", said, wait)
            self._patience.pause(wait)
        return self._attempt(call)

    def _attempt(self, call: Callable[[], Result]) -> Result:
        seconds = min(TRY_SECONDS, self._patience.left())
        self._try = Patience(time.monotonic() + seconds, self._patience.cancelled)
        try:
            return call()
        except DeadlinePassed as error:
            self._patience.left()  # raises the same where it was not only the try's
            raise Unanswered("no answer in time") from error

    def _carry(self, request: Any, **_: object) -> Any:
        """What boto3 calls in place of its own transport."""
        from botocore.awsrequest import AWSResponse  # noqa: PLC0415

        body = request.body or b""
        answer = self._courier.exchange(
            request.method,
            request.url,
            headers={
                name: value if isinstance(value, str) else value.decode("latin-1")
                for name, value in request.headers.items()
                if name.lower() not in ("expect", "content-length")
            },
            body=body if isinstance(body, bytes) else body.read(),
            patience=self._try,
            on_sent=self._on_sent,
        )
        return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.content))

    def _size_behind(self, url: str) -> int | None:
        """The size of what the URL downloads, or None where it downloads nothing."""
        answer = self._courier.exchange(
            "GET", url, headers={"Range": "bytes=0-0"}, patience=self._try
        )
        if answer.status in BUSY_STATUSES:
            raise Unanswered(f"status {answer.status}")
        ranged = re.fullmatch(r"bytes 0-0/(\d+)", answer.headers.get("content-range", ""))
        if answer.status == 206 and ranged:
            return int(ranged[1])
        length = answer.headers.get("content-length", "")
        if answer.status == 200 and length.isdigit():
            return int(length)
        logger.error("the bucket's signed URL is answered with status %d", answer.status)
        return None


class _Raw(io.BytesIO):
    """A body as boto3 reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _client(bucket: Bucket) -> Any:
    """boto3's client, which neither tries again nor asks the environment for keys."""
    import boto3  # noqa: PLC0415 - an optional part
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "s3",
        endpoint_url=bucket.endpoint_url,
        region_name=bucket.region,
        aws_access_key_id=bucket.access_key_id,
        aws_secret_access_key=bucket.secret_access_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if bucket.name_in_host else "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            # Checksums in trailers are AWS's own; other S3s refuse them.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _nothing(_: int) -> None:
    pass


def _add(on_bytes: Callable[[int], None], before: int, sent: int) -> None:
    on_bytes(before + sent)


def _parts(first: bytes, file: BinaryIO) -> Iterator[bytes]:
    part = first
    while part:
        yield part
        part = file.read(PART_BYTES)


def _may_pass(error: Any) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in BUSY_STATUSES or code_of(error) in BUSY_CODES


def code_of(error: Any) -> str:
    """S3's word for what is wrong; its sentence may repeat what was sent, and is not told."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,60}", code) else "unknown"
