"""A video while it is made: RunPod's `/stream`, which hands each piece out once."""

import base64
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import Cancelled
from multitalk.messages import sentence
from multitalk.schema import JobStatus
from multitalk.serving.api.answers import answer
from multitalk.serving.api.jobs import caller_of
from multitalk.serving.api.replies import read_whole
from multitalk.serving.api.server import owner_of, server_of

# Pieces in one answer. Each is below 1 MB; what is left over is in the next answer.
MAX_PIECES = 8

router = APIRouter(prefix="/v2/{endpoint}")


@router.post("/stream/{job_id}", summary="The same as GET")
@router.get("/stream/{job_id}", summary="The video's new pieces")
async def stream(request: Request, job_id: str) -> Response:
    """Joined, the pieces are a fragmented MP4. Each is handed out once.

    RunPod's clients poll for ever where a job is CANCELLED: here it is FAILED to them.
    """
    server = server_of(request)
    server.limits.admit(caller_of(request), "stream")
    job = await server.own_job(job_id, owner_of(request))
    after = server.ledger.handed_out(job_id)
    pieces = (await server.queue.pieces(job_id, after=after))[:MAX_PIECES]
    chunks: list[dict[str, Any]] = []
    for piece in pieces:
        content = await read_whole(server.queue.media, piece.output["video"])
        told = {name: value for name, value in piece.output.items() if name != "video"}
        told["video_base64"] = base64.b64encode(content).decode("ascii")
        chunks.append({"output": told})
    reply: dict[str, Any] = {"id": job.id, "status": job.status.value, "stream": chunks}
    if job.error is not None:
        reply["error"] = job.error
    if job.status is JobStatus.CANCELLED:
        reply |= {"status": JobStatus.FAILED.value, "error": sentence(Cancelled().key, job.locale)}
    if pieces:
        server.ledger.hand_out(job_id, pieces[-1].number)
    return answer(reply)
