"""A job as JSON: RunPod's answer of `/status`."""

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from multitalk.delivery.deliver import ENVELOPE_BYTES
from multitalk.errors import NotFound
from multitalk.schema import JobStatus
from multitalk.serving.api.access.signed_urls import UrlSigner
from multitalk.serving.api.models import JobReply, ListedJob
from multitalk.serving.queue import Job, JobQueue, MediaStore
from multitalk.serving.queue.records import MEDIA_OF_OUTPUT


@dataclass(frozen=True)
class JobReplies:
    """Jobs as the routes and the webhooks answer them.

    Attributes:
        queue: Of the jobs and their files.
        url_signer: Signs the addresses of files.
        clock: Seconds since 1970.
        max_bytes: Largest reply with the video in it.
        base_url: By which the receiver reaches this server.
    """

    queue: JobQueue
    url_signer: UrlSigner
    clock: Callable[[], float]
    max_bytes: int
    base_url: str = ""

    def at(self, base_url: str) -> "JobReplies":
        """The same for a receiver who reaches this server by this URL."""
        return replace(self, base_url=base_url)

    async def reply(self, job: Job, *, max_bytes: int | None = None) -> JobReply:
        """The body of `/runsync` and of a webhook.

        Args:
            job: The job.
            max_bytes: Another limit; 0: the video is always a URL.
        """
        reply = self._without_output(job)
        if job.error is not None:
            facts = job.output if isinstance(job.output, Mapping) else {}
            # RunPod's Python client returns only the output
            reply["output"], reply["error"] = {"message": job.error, **facts}, job.error
        elif job.is_final and job.output is not None:
            limit = self.max_bytes if max_bytes is None else max_bytes
            reply["output"] = await self._output(job, limit)
        elif job.status is JobStatus.IN_PROGRESS and job.progress is not None:
            reply["output"] = job.progress
        return reply

    def _without_output(self, job: Job) -> JobReply:
        """A job's id, status, times in milliseconds, and worker."""
        now = self.clock()
        reply: JobReply = {"id": job.id, "status": job.status}
        if job.started_at is not None or job.is_final:
            reply["delayTime"] = round(job.delay_seconds(now) * 1000)
        if (execution := job.execution_seconds(now)) is not None:
            reply["executionTime"] = round(execution * 1000)
        if job.worker_id is not None:
            reply["workerId"] = job.worker_id
        return reply

    async def status(self, job: Job, *, max_bytes: int | None = None) -> JobReply:
        """The body of `/status`: also how many jobs are ahead of one that waits."""
        reply = await self.reply(job, max_bytes=max_bytes)
        if job.status is JobStatus.IN_QUEUE:
            reply["jobsAhead"], reply["workers"] = await self.queue.wait_of(job.id)
        return reply

    def listed(self, job: Job) -> ListedJob:
        """A job in the list of its owner's."""
        now = self.clock()
        return {
            "id": job.id,
            "status": job.status,
            "createdAt": round(job.created_at * 1000),
            "delayTime": round(job.delay_seconds(now) * 1000),
            "executionTime": round((job.execution_seconds(now) or 0.0) * 1000),
            "error": job.error,
            "progress": job.progress,
            "title": job.title,
            "frameUrl": self._frame_url(job),
        }

    def media_url(self, job_id: str, suffix: str) -> str:
        """Signed URL of a job's video, subtitles or thumbnail.

        It is valid for a day, or until the job is deleted.
        """
        query = self.url_signer.query(job_id, now=self.clock())
        return f"{self.base_url}/videos/{job_id}{suffix}?{query}"

    def _frame_url(self, job: Job) -> str | None:
        """URL of a small picture of a job: its first frame, or its portrait until then."""
        has_frame = frame_of(job) is not None
        if not has_frame and job.portrait is None:
            return None
        url = self.media_url(job.id, ".jpg")
        return f"{url}&of={'video' if has_frame else 'portrait'}"  # browsers keep both apart

    async def _output(self, job: Job, max_bytes: int) -> Any:
        """A job's output with its video, as base64 or as a URL, in place of names of files."""
        if not isinstance(job.output, Mapping):
            return job.output
        facts = {name: value for name, value in job.output.items() if name not in MEDIA_OF_OUTPUT}
        if "video" not in job.output:
            return facts
        if "captions" in job.output:
            facts["subtitles_url"] = self.media_url(job.id, ".vtt")
        name, media = job.output["video"], self.queue.media
        with suppress(NotFound):  # the job is being deleted: its URL answers the same
            encoded_bytes = (await media.size(name) + 2) // 3 * 4
            if encoded_bytes + ENVELOPE_BYTES <= max_bytes:
                content = await read_whole(media, name)
                return {"video_base64": base64.b64encode(content).decode("ascii"), **facts}
        return {"video_url": self.media_url(job.id, ".mp4"), **facts}


def frame_of(job: Job) -> str | None:
    """Name in the media store of a finished video's first frame."""
    return job.output.get("frame") if isinstance(job.output, Mapping) else None


async def read_whole(media: MediaStore, name: str) -> bytes:
    """The content of a small file."""
    return b"".join([chunk async for chunk in media.read(name)])
