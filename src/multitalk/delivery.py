"""How a video is handed over: inside the reply, in a bucket, or on the volume.

A platform drops a reply that is larger than it accepts, after the work was done; so the reply is
measured here as it will be sent, base64 and JSON included, and never passes the limit.
"""

import base64
import hashlib
import logging
import os
import re
import shutil
from pathlib import Path
from typing import TypedDict

from multitalk.errors import DeliveryFailed
from multitalk.schema import Delivery
from multitalk.settings import Bucket, Settings

logger = logging.getLogger(__name__)

# The reply's other fields and the envelope that the platform puts around it (job id, worker id,
# times, status). Warnings and timings are a few hundred bytes; this is generous.
ENVELOPE_BYTES = 16 * 2**10
SIGNED_SECONDS = 7 * 24 * 3600  # how long a bucket's URL is good for: the longest that S3 signs


class Delivered(TypedDict, total=False):
    """The one field of `TalkResult` that says where the video is."""

    video_base64: str
    video_url: str
    video_path: str


def deliver(video: Path, *, delivery: Delivery, settings: Settings, job_id: str) -> Delivered:
    """Hand `video` over as the caller asked.

    Args:
        video: A finished mp4; it stays where it is.
        delivery: The caller's choice.
        settings: The reply's limit, the bucket and the volume.
        job_id: Names the file in the bucket and on the volume.

    Raises:
        DeliveryFailed: The choice is not set up here or does not take the video, or nothing does.
    """
    size = reply_bytes(video)
    limit = settings.max_reply_bytes
    fits = size <= limit
    name = safe_name(job_id)
    if delivery.type == "base64" and not fits:
        raise DeliveryFailed(
            "reply_cannot_hold", field="delivery.type", size=size / 1e6, limit=limit / 1e6
        )
    check_set_up(delivery, settings=settings)
    if delivery.type == "base64" or (delivery.type == "auto" and fits):
        return {"video_base64": base64.b64encode(video.read_bytes()).decode("ascii")}
    if settings.bucket and delivery.type != "volume":
        return {"video_url": upload(video, bucket=settings.bucket, name=name)}
    if settings.volume:
        return {"video_path": str(keep(video, settings.volume / name))}
    raise DeliveryFailed("reply_too_large", size=size / 1e6, limit=limit / 1e6)


def check_set_up(delivery: Delivery, *, settings: Settings) -> None:
    """Make sure that the caller's choice exists here; needs no video.

    Raises:
        DeliveryFailed: It does not.
    """
    if delivery.type == "bucket" and settings.bucket is None:
        raise DeliveryFailed("bucket_not_set_up", field="delivery.type")
    if delivery.type == "volume" and settings.volume is None:
        raise DeliveryFailed("volume_not_set_up", field="delivery.type")


def reply_bytes(video: Path) -> int:
    """Size of the reply that carries `video` inline, in bytes."""
    return (video.stat().st_size + 2) // 3 * 4 + ENVELOPE_BYTES


def safe_name(job_id: str) -> str:
    """A file name for a job's video, its own whatever characters the id has."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", job_id)[:100]
    if plain != job_id or not plain:
        plain += "-" + hashlib.sha256(job_id.encode(errors="surrogatepass")).hexdigest()[:16]
    return plain + ".mp4"


def keep(video: Path, target: Path) -> Path:
    """Copy `video` to `target`, which is at every moment either not there or whole.

    Raises:
        DeliveryFailed: The volume does not take it.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(video, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        logger.error("the volume did not take %s: %s", target, error)
        raise DeliveryFailed("volume_failed", reason=os.strerror(error.errno or 0)) from error
    return target


def upload(video: Path, *, bucket: Bucket, name: str) -> str:
    """Put `video` into `bucket`.

    Returns:
        A URL that downloads it without a key, good for `SIGNED_SECONDS`.

    Raises:
        DeliveryFailed: boto3 is not installed, or the bucket does not take the video.
    """
    try:
        import boto3  # noqa: PLC0415 - an optional part
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError as error:
        raise DeliveryFailed("bucket_without_library") from error
    try:
        client = boto3.client(
            "s3",
            endpoint_url=bucket.endpoint_url,
            aws_access_key_id=bucket.access_key_id,
            aws_secret_access_key=bucket.secret_access_key,
            config=Config(
                signature_version="s3v4",
                connect_timeout=10,
                read_timeout=60,
                retries={"total_max_attempts": 3, "mode": "standard"},
                # Checksums in trailers are AWS's own; other S3s refuse them.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        with video.open("rb") as body:
            client.put_object(Bucket=bucket.name, Key=name, Body=body, ContentType="video/mp4")
        return str(
            client.generate_presigned_url(
                "get_object",
                Params={"Bucket": bucket.name, "Key": name},
                ExpiresIn=SIGNED_SECONDS,
            )
        )
    except (BotoCoreError, ClientError, ValueError) as error:
        logger.error("the bucket did not take %s: %s", name, error)
        reason = type(error).__name__
        if isinstance(error, ClientError):
            reason = str(error.response.get("Error", {}).get("Code", reason))
        raise DeliveryFailed("bucket_failed", reason=reason) from error
