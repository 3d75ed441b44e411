"""A job as JSON: RunPod's answer of `/status`."""

import base64
from collections.abc import Mapping
from typing import Any

from multitalk.delivery.deliver import ENVELOPE_BYTES
from multitalk.errors import NotFound
from multitalk.schema import JobStatus
from multitalk.serving.api.models import JobReply
from multitalk.serving.api.signed_urls import UrlSigner
from multitalk.serving.queue import Job, MediaStore
from multitalk.serving.queue.records import MEDIA_OF_OUTPUT


async def job_reply(
    job: Job,
    *,
    media: MediaStore,
    url_signer: UrlSigner,
    base_url: str,
    now: float,
    max_bytes: int,
) -> JobReply:
    """The body of `/status`, of `/runsync` and of a webhook.

    Args:
        job: The job.
        media: Store of its video.
        url_signer: Signs the video's address.
        base_url: Of this server.
        now: Seconds since 1970.
        max_bytes: Largest reply with the video in it; 0: always a URL.
    """
    reply: JobReply = {"id": job.id, "status": job.status}
    if job.started_at is not None or job.is_final:
        reply["delayTime"] = round(job.delay_seconds(now) * 1000)
    execution = job.execution_seconds(now)
    if execution is not None:
        reply["executionTime"] = round(execution * 1000)
    if job.worker_id is not None:
        reply["workerId"] = job.worker_id
    if job.status is JobStatus.IN_PROGRESS and job.progress is not None:
        reply["output"] = job.progress
    elif job.is_final and job.output is not None:
        reply["output"] = _without_names(job.output)
        if isinstance(job.output, Mapping) and "video" in job.output:
            reply["output"] = await _with_video(
                job,
                media=media,
                url_signer=url_signer,
                base_url=base_url,
                now=now,
                max_bytes=max_bytes,
            )
    if job.error is not None:
        facts = job.output if isinstance(job.output, Mapping) else {}
        # RunPod's Python client returns only the output
        reply["output"], reply["error"] = {"message": job.error, **facts}, job.error
    return reply


def media_url(job_id: str, suffix: str, *, url_signer: UrlSigner, base_url: str, now: float) -> str:
    """Signed URL of a job's video, subtitles or thumbnail.

    It is valid for a day, or until the job is deleted.
    """
    return f"{base_url}/videos/{job_id}{suffix}?{url_signer.query(job_id, now=now)}"


def frame_of(job: Job) -> str | None:
    """Name in the media store of a finished video's first frame."""
    return job.output.get("frame") if isinstance(job.output, Mapping) else None


async def read_whole(media: MediaStore, name: str) -> bytes:
    """The content of a small file."""
    return b"".join([chunk async for chunk in media.read(name)])


def _without_names(output: Any) -> Any:
    """A job's output without the names that files have in the media store."""
    if not isinstance(output, Mapping):
        return output
    return {name: value for name, value in output.items() if name not in MEDIA_OF_OUTPUT}


async def _with_video(
    job: Job,
    *,
    media: MediaStore,
    url_signer: UrlSigner,
    base_url: str,
    now: float,
    max_bytes: int,
) -> dict[str, Any]:
    facts = _without_names(job.output)
    if "captions" in job.output:
        facts["subtitles_url"] = media_url(
            job.id, ".vtt", url_signer=url_signer, base_url=base_url, now=now
        )
    name = job.output["video"]
    try:
        encoded_bytes = (await media.size(name) + 2) // 3 * 4
        if encoded_bytes + ENVELOPE_BYTES <= max_bytes:
            content = await read_whole(media, name)
            return {"video_base64": base64.b64encode(content).decode("ascii"), **facts}
    except NotFound:  # the job is being deleted: its URL answers the same
        pass
    url = media_url(job.id, ".mp4", url_signer=url_signer, base_url=base_url, now=now)
    return {"video_url": url, **facts}
