"""A worker without an engine: does what a job's input tells it, through the real queue."""

import asyncio
import contextlib
from typing import Any

from multitalk.schema import FILENAME, JobStatus
from multitalk.serving.queue import JobQueue, Lease, Outcome, WorkerRecord

RESULT = {
    "status": "success",
    "filename": FILENAME,
    "width": 64,
    "height": 48,
    "fps": 25.0,
    "num_frames": 50,
    "duration_seconds": 2.0,
    "seed": 7,
    "engine": "warp",
    "warnings": [],
    "timings": {"render": 0.1},
}
VIDEO = bytes(range(256)) * 40  # what a job answers; nothing here looks into it


async def work(queue: JobQueue, worker_id: str = "stub") -> None:
    """Claim and do jobs until cancelled."""
    while True:
        await queue.announce(WorkerRecord(id=worker_id, engine="warp", started_at=0.0))
        lease = await queue.claim(worker_id, wait=0.5)
        if lease is not None:
            await _do(queue, lease)


async def _do(queue: JobQueue, lease: Lease) -> None:
    told: dict[str, Any] = lease.submission.input
    progress = {"stage": "render", "done": 1, "total": 2}
    for _ in range(round(told.get("seconds", 0.0) * 50)):
        if await queue.renew(lease, progress) is not None:
            return
        await asyncio.sleep(0.02)
    for number in range(told.get("pieces", 0)):
        name = await queue.media.put(b"piece %d" % number, job_id=lease.job.id, suffix=".mp4")
        piece = {"segment": number, "start": float(number), "frames": 25, "video": name}
        await queue.add_fragment(lease, piece)
    if "error" in told:
        output = {"code": "no_face_found", "field": "image_path"}
        outcome = Outcome(status=JobStatus.FAILED, output=output, error=told["error"])
    else:
        name = await queue.media.put(
            VIDEO * told.get("size", 1), job_id=lease.job.id, suffix=".mp4"
        )
        output = {**RESULT, "video": name, "echo": told.get("echo")}
        outcome = Outcome(status=JobStatus.COMPLETED, output=output)
    await queue.finish(lease, outcome)


@contextlib.asynccontextmanager
async def working(queue: JobQueue):
    """A stub worker, as long as the context is open."""
    task = asyncio.create_task(work(queue))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
