"""A job as RunPod's `/status` tells it."""

import base64
from collections.abc import Mapping
from typing import Any

from multitalk.delivery.handover import ENVELOPE_BYTES
from multitalk.errors import NotFound
from multitalk.schema import JobStatus
from multitalk.serving.api.links import LinkSigner
from multitalk.serving.queue import Job, MediaStore

FILENAME = "generated_video.mp4"


async def job_reply(
    job: Job,
    *,
    media: MediaStore,
    links: LinkSigner,
    base_url: str,
    now: float,
    max_bytes: int,
) -> dict[str, Any]:
    """The body of `/status`, of `/runsync` and of a webhook.

    Args:
        job: The job.
        media: Where its video is.
        links: Signs the video's address.
        base_url: Of this server.
        now: Seconds since 1970.
        max_bytes: Size of the reply up to which it holds the video; 0: never.
    """
    reply: dict[str, Any] = {"id": job.id, "status": job.status.value}
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
        reply["output"] = job.output
        if isinstance(job.output, Mapping) and "video" in job.output:
            reply["output"] = await _with_video(
                job, media=media, links=links, base_url=base_url, now=now, max_bytes=max_bytes
            )
    if job.error is not None:
        reply["error"] = job.error
    return reply


def video_url(job_id: str, *, links: LinkSigner, base_url: str, now: float) -> str:
    """Where a job's video can be had without a key, for a day or until the job is forgotten."""
    return f"{base_url}/videos/{job_id}.mp4?{links.query(job_id, now=now)}"


async def read_whole(media: MediaStore, name: str) -> bytes:
    """A small file of the store."""
    return b"".join([chunk async for chunk in media.read(name)])


async def _with_video(
    job: Job,
    *,
    media: MediaStore,
    links: LinkSigner,
    base_url: str,
    now: float,
    max_bytes: int,
) -> dict[str, Any]:
    told = {name: value for name, value in job.output.items() if name != "video"}
    told.setdefault("status", "success")
    told.setdefault("filename", FILENAME)
    name = job.output["video"]
    try:
        encoded_bytes = (await media.size(name) + 2) // 3 * 4
        if encoded_bytes + ENVELOPE_BYTES <= max_bytes:
            content = await read_whole(media, name)
            return {"video_base64": base64.b64encode(content).decode("ascii"), **told}
    except NotFound:  # the job is just being forgotten: its address says the same
        pass
    return {"video_url": video_url(job.id, links=links, base_url=base_url, now=now), **told}
