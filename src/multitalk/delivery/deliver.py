"""Which way a video takes: the caller's choice, or the first that takes it.

A platform drops a reply that is larger than it accepts, after the work was done; so the reply is
measured here as it will be sent, base64 and JSON included, and never passes the limit.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from multitalk.bucket import Bucket
from multitalk.delivery.s3 import check_library, check_reachable, upload
from multitalk.delivery.volume import keep
from multitalk.errors import DeliveryFailed
from multitalk.messages import Locale, sentence
from multitalk.schema import Delivery
from multitalk.settings import Settings

# The reply's other fields and the envelope that the platform puts around it (job id, worker id,
# times, status). Warnings and timings are a few hundred bytes; this is generous.
ENVELOPE_BYTES = 16 * 2**10


class VideoLocation(TypedDict, total=False):
    """The one field of `TalkResult` that says where the video is."""

    video_base64: str
    video_url: str
    video_path: str


@dataclass(frozen=True)
class Delivered:
    """A video that was handed over.

    Attributes:
        location: Where it is.
        warnings: Sentences for the caller: what was tried first and failed.
    """

    location: VideoLocation
    warnings: tuple[str, ...] = ()


def deliver(
    video: Path,
    *,
    delivery: Delivery,
    settings: Settings,
    job_id: str,
    bucket: Bucket | None = None,
    locale: Locale = "en",
    on_bytes: Callable[[int], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Delivered:
    """Hand `video` over as the caller asked.

    With `auto` it goes into the reply if it fits, else to the bucket, else to the volume; a bucket
    that fails is told as a warning if the volume takes the video. A choice is kept or fails.

    Args:
        video: A finished mp4; it stays where it is.
        delivery: The caller's choice.
        settings: The reply's limit, the operator's bucket and the volume.
        job_id: Names the file in the bucket and on the volume.
        bucket: The job's own, in place of the operator's.
        locale: Of the warnings.
        on_bytes: Told how many bytes have been handed over; may raise to stop.
        cancelled: Whether the job was taken back; asked again and again while waiting.

    Raises:
        DeliveryFailed: The choice is not set up here or does not take the video, or nothing does.
        SourceRefused: The job's own bucket is not at a public host.
        SourceUnreachable: The job's own bucket is at a host that does not exist.
        Cancelled: `cancelled` said so.
    """
    size, limit = reply_bytes(video), settings.max_reply_bytes
    if delivery.type == "base64" and size > limit:
        raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
    bucket = bucket or settings.bucket
    _check_choice(delivery, bucket=bucket, settings=settings)
    if delivery.type == "base64" or (delivery.type == "auto" and size <= limit):
        return Delivered({"video_base64": base64.b64encode(video.read_bytes()).decode("ascii")})
    name = safe_name(job_id)
    warnings: list[str] = []
    if bucket and delivery.type != "volume":
        try:
            url = upload(
                video,
                bucket=bucket,
                name=name,
                settings=settings,
                on_bytes=on_bytes,
                cancelled=cancelled,
            )
            return Delivered({"video_url": url})
        except DeliveryFailed as error:
            if delivery.type == "bucket" or settings.volume is None:
                raise
            warnings.append(sentence("kept_on_volume", locale, failure=error.text(locale)))
    if settings.volume:
        kept = keep(video, settings.volume / name, on_bytes=on_bytes, cancelled=cancelled)
        return Delivered({"video_path": str(kept)}, tuple(warnings))
    raise DeliveryFailed("reply_too_large", size=size, limit=limit)


def check_set_up(delivery: Delivery, *, settings: Settings, bucket: Bucket | None = None) -> None:
    """Make sure, before the work, that the caller's choice exists here; needs no video.

    Args:
        delivery: The caller's choice.
        settings: What the operator set up.
        bucket: The job's own, in place of the operator's.

    Raises:
        DeliveryFailed: It does not exist here.
        SourceRefused: The job's own bucket is not at a public host.
        SourceUnreachable: The job's own bucket is at a host that does not exist.
    """
    _check_choice(delivery, bucket=bucket or settings.bucket, settings=settings)
    if delivery.type == "bucket":
        check_library()
    if bucket and delivery.type in ("auto", "bucket"):
        check_reachable(bucket, settings=settings)


def _check_choice(delivery: Delivery, *, bucket: Bucket | None, settings: Settings) -> None:
    if delivery.type == "bucket" and bucket is None:
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
