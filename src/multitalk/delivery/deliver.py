"""Deliver a video as the request says, or by the first way that accepts it.

RunPod drops a reply above its limit after the work was done. So the size of the reply is computed
here, base64 and JSON included, and a larger video is delivered in another way.
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
from multitalk.delivery.volume import put_on_volume
from multitalk.errors import DeliveryFailed
from multitalk.messages import Locale, sentence
from multitalk.net.deadline import never
from multitalk.schema import Delivery
from multitalk.settings import Settings

# The reply's other fields and RunPod's envelope (job id, worker id, times, status). Warnings and
# timings are a few hundred bytes; this is generous.
ENVELOPE_BYTES = 16 * 2**10


class VideoLocation(TypedDict, total=False):
    """The field of `TalkResult` with the video or its location; exactly one is set."""

    video_base64: str
    video_url: str
    video_path: str


@dataclass(frozen=True)
class Delivered:
    """A delivered video.

    Attributes:
        location: The video or its location.
        warnings: Messages for the caller about ways that failed.
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
    on_progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] = never,
) -> Delivered:
    """Deliver a video.

    With `auto` it is in the reply if it fits, else in the bucket, else on the volume, with a
    warning if the bucket failed. Any other choice is the only way tried.

    Args:
        video: A finished mp4; it is not moved.
        delivery: The caller's choice.
        settings: The reply's limit, the operator's bucket and the volume.
        job_id: Names the file in the bucket and on the volume.
        bucket: The job's own bucket, instead of the operator's.
        locale: Language of the warnings.
        on_progress: Called with the number of bytes delivered; may raise to stop.
        cancelled: Whether the job was cancelled; polled while waiting.

    Raises:
        DeliveryFailed: The choice is not configured or fails, or no way accepts the video.
        SourceRefused, SourceUnreachable: The job's own bucket is at no public host.
        Cancelled: The job was cancelled.
    """
    size, limit = reply_bytes(video), settings.max_reply_bytes
    bucket = bucket or settings.bucket
    _check_choice(delivery, bucket=bucket, settings=settings)
    if delivery.type in ("auto", "base64") and size <= limit:
        return Delivered({"video_base64": base64.b64encode(video.read_bytes()).decode("ascii")})
    if delivery.type == "base64":
        raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
    name, warnings = safe_name(job_id), tuple[str, ...]()
    if bucket and delivery.type != "volume":
        try:
            url = upload(
                video,
                bucket=bucket,
                name=name,
                settings=settings,
                on_progress=on_progress,
                cancelled=cancelled,
            )
            return Delivered({"video_url": url})
        except DeliveryFailed as error:
            if delivery.type == "bucket" or settings.volume is None:
                raise
            warnings = (sentence("kept_on_volume", locale, failure=error.text(locale)),)
    if settings.volume is None:
        raise DeliveryFailed("reply_too_large", size=size, limit=limit)
    path = put_on_volume(
        video, settings.volume / name, on_progress=on_progress, cancelled=cancelled
    )
    return Delivered({"video_path": str(path)}, warnings)


def check_set_up(delivery: Delivery, *, settings: Settings, bucket: Bucket | None = None) -> None:
    """Check, without a video, that the caller's choice is configured; raises as `deliver`."""
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
    """A file name for a job's video, unique for any characters in the id."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", job_id)[:100]
    if plain != job_id or not plain:
        plain += "-" + hashlib.sha256(job_id.encode(errors="surrogatepass")).hexdigest()[:16]
    return plain + ".mp4"
