"""A caller's job, and waiting until a job changes."""

import re
import time

from multitalk.errors import NotFound
from multitalk.schema.validation import brief
from multitalk.serving.api.transport.uvicorn_server import ShutdownState
from multitalk.serving.queue import Job, JobQueue
from multitalk.serving.queue.records import JOB_ID

SHUTDOWN_CHECK_SECONDS = 1.0  # at most, until an answer that waits notices that the server ends


async def own_job(queue: JobQueue, job_id: str, owner: str) -> Job:
    """A job of one owner.

    Raises:
        NotFound: There is none, or it is another owner's: the caller cannot tell which.
    """
    if not re.fullmatch(JOB_ID, job_id):
        raise NotFound("job_unknown", job_id=brief(job_id))
    job = await queue.get(job_id)
    if job.owner != owner:
        raise NotFound("job_unknown", job_id=job_id)
    return job


async def wait_for_change(
    queue: JobQueue, shutdown: ShutdownState, job: Job, *, seconds: float
) -> Job:
    """A job once it has changed, after so long, or when the server ends."""
    ends, seen = time.monotonic() + seconds, job.version
    while job.version == seen and not shutdown.requested.is_set():
        left = min(ends - time.monotonic(), SHUTDOWN_CHECK_SECONDS)
        if left <= 0:
            break
        job = await queue.wait_for_change(job.id, seen=seen, timeout=left)
    return job
