"""A video in a bucket, as a signed URL, or one error that says why not."""

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from multitalk.bucket import Bucket
from multitalk.delivery.courier import Courier, Unanswered
from multitalk.delivery.store import WAITS, Store, code_of
from multitalk.errors import DeliveryFailed, SourceUnreachable
from multitalk.outbound.connection import (
    CONNECT_SECONDS,
    CertificateInvalid,
    DeadlinePassed,
    Patience,
)
from multitalk.settings import Settings


def upload(
    video: Path,
    *,
    bucket: Bucket,
    name: str,
    settings: Settings,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
    waits: Sequence[float] = WAITS,
) -> str:
    """Put `video` into `bucket`, under the bucket's prefix.

    Args:
        video: A finished mp4.
        bucket: Where to.
        name: Of the video in the bucket's folder; what has that name already is replaced.
        settings: For the upload's time, and whether loopback may be reached.
        on_bytes: Told how many bytes have been sent, fewer again after a failed try.
        cancelled: Whether the job was taken back.
        waits: Seconds to wait after each failed try; one try more than these.

    Returns:
        A URL that downloads it without a key, good for `bucket.url_seconds`.

    Raises:
        DeliveryFailed: boto3 is not installed, or the bucket does not take the video, or gives it
            to nobody.
        SourceRefused: A bucket that must be at a public host is not.
        Cancelled: The job was taken back.
    """
    field = "s3Config" if bucket.public_only else None
    check_library()
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an optional part

    patience = Patience(time.monotonic() + settings.upload_seconds, cancelled)
    courier = Courier(public_only=bucket.public_only, networks=settings.reachable_networks)
    try:
        store = Store(bucket, name, courier=courier, patience=patience, waits=waits)
        store.put(video, on_bytes=on_bytes)
        return store.signed_url(size=video.stat().st_size)
    except ClientError as error:
        raise DeliveryFailed("bucket_failed", field=field, reason=code_of(error)) from error
    except Unanswered as error:
        raise DeliveryFailed("bucket_unreachable", field=field, count=len(waits) + 1) from error
    except DeadlinePassed as error:
        raise DeliveryFailed(
            "bucket_too_slow", field=field, limit=settings.upload_seconds
        ) from error
    except CertificateInvalid as error:
        raise DeliveryFailed("bucket_failed", field=field, reason="certificate") from error
    except (BotoCoreError, ValueError) as error:
        reason = type(error).__name__
        raise DeliveryFailed("bucket_failed", field=field, reason=reason) from error


def check_library() -> None:
    """Make sure that boto3 is installed.

    Raises:
        DeliveryFailed: It is not.
    """
    if find_spec("boto3") is None:
        raise DeliveryFailed("bucket_without_library")


def check_reachable(bucket: Bucket, *, settings: Settings) -> None:
    """Make sure that a bucket that must be at a public host is, as far as a name can tell.

    Raises:
        SourceRefused: It is not.
        SourceUnreachable: The host is unknown.
    """
    courier = Courier(public_only=bucket.public_only, networks=settings.reachable_networks)
    patience = Patience(time.monotonic() + CONNECT_SECONDS, lambda: False)
    url = bucket.endpoint_url
    if bucket.name_in_host:
        url = url.replace("://", f"://{bucket.name}.")
    try:
        courier.addresses(url, patience=patience)
    except DeadlinePassed as error:
        raise SourceUnreachable(
            "host_unknown", field="s3Config.endpointUrl", host=bucket.endpoint_url
        ) from error
