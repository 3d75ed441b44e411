"""RunPod's endpoint protocol: `/v2/{endpoint}/run` and what follows from it.

The endpoint's name is the client's: this server has one queue, which answers to any.
"""

import base64
import time
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import Cancelled, InvalidRequest, MultiTalkError, not_a_choice
from multitalk.messages import sentence
from multitalk.schema import JobStatus
from multitalk.schema.validation import brief
from multitalk.serving.api.dependencies import Server, caller_of, owner_of, server_of
from multitalk.serving.api.job_json import frame_of, job_reply, media_url, read_whole
from multitalk.serving.api.request_body import content_length, read_body
from multitalk.serving.api.responses import json_response
from multitalk.serving.api.submission import (
    check_idempotency_key,
    in_batch,
    parse_batch,
    parse_run_body,
    send,
)
from multitalk.serving.queue import Job, Submission

DEFAULT_WAIT_MS, MIN_WAIT_MS, MAX_WAIT_MS = 90_000, 1_000, 300_000
MAX_PAGE = 100
BATCH_BODIES = 2  # a batch may be as large as so many bodies of /run
MAX_BATCH_VALUES = 200_000  # 2000 for each of 100 jobs; the largest job has some 1400

# Pieces in one answer. Each is below 1 MB; what is left over is in the next answer.
MAX_PIECES = 8


router = APIRouter(prefix="/v2/{endpoint}")


@router.post("/run", summary="Send a job; the answer is its id")
async def run(request: Request) -> Response:
    """Body: `input`, and perhaps `webhook`, `policy`, `s3Config`. Header: `Idempotency-Key`."""
    server, owner = server_of(request), owner_of(request)
    server.limits.admit(caller_of(request), "run")
    given = await read_body(request, max_bytes=server.config.max_run_bytes)
    order = _order(server, given, owner=owner, idempotency_key=_idempotency_key(request))
    await server.quota.admit(owner, content_length(request))
    (job,) = await send(server, [order], base_url=server.base_url(request))
    return json_response({"id": job.id, "status": job.status.value})


@router.post("/runsync", summary="Send a job and wait for its end")
async def run_sync(request: Request) -> Response:
    """As `/run`; waits `?wait=` milliseconds at most, 90 000 if left out."""
    server, owner = server_of(request), owner_of(request)
    server.limits.admit(caller_of(request), "runsync")
    wait = _number(request, "wait", DEFAULT_WAIT_MS, MIN_WAIT_MS, MAX_WAIT_MS) / 1000
    given = await read_body(request, max_bytes=server.config.max_runsync_bytes)
    order = _order(server, given, owner=owner, idempotency_key=_idempotency_key(request))
    await server.quota.admit(owner, content_length(request))
    (job,) = await send(server, [order], base_url=server.base_url(request))
    del given, order  # as large as the body was
    end = time.monotonic() + wait  # a clock that nobody sets
    while not job.is_final and not server.shutdown.requested.is_set() and time.monotonic() < end:
        job = await server.wait_for_change(job, seconds=end - time.monotonic())
    return json_response(await _reply(request, job, max_bytes=server.config.max_runsync_bytes))


@router.post("/batch", summary="Send several jobs at once: all or none")
async def batch(request: Request) -> Response:
    """Body: `{"jobs": [...]}`, 1 to 100 bodies of `/run`, which count as many.

    All are judged, and their uploads found, before any is sent; then all are stored in one step.
    Without an `Idempotency-Key` a batch that is sent again is another one.
    """
    server, owner = server_of(request), owner_of(request)
    server.limits.admit(caller_of(request), "run")
    limit = BATCH_BODIES * server.config.max_run_bytes
    jobs = parse_batch(await read_body(request, max_bytes=limit, max_values=MAX_BATCH_VALUES))
    server.limits.admit(caller_of(request), "run", count=len(jobs) - 1)
    key = _idempotency_key(request)
    check_idempotency_key(key)
    orders = []
    for number, given in enumerate(jobs):
        with in_batch(number):
            order = _order(server, given, owner=owner, idempotency_key=None)
        name = key and f"{key}[{number}]"
        orders.append(order.model_copy(update={"idempotency_key": name}))
    await server.quota.admit(owner, content_length(request))
    sent = await send(server, orders, base_url=server.base_url(request), is_batch=True)
    return json_response({"jobs": [{"id": job.id, "status": job.status.value} for job in sent]})


@router.post("/status/{job_id}", summary="The same as GET")
@router.get("/status/{job_id}", summary="A job as it stands")
async def status(request: Request, job_id: str) -> Response:
    """With `?video=url` a finished video is an address, however small it is.

    A job that waits has `jobsAhead` (those that are done before it) and `workers`.
    """
    server = server_of(request)
    server.limits.admit(caller_of(request), "status")
    job = await server.own_job(job_id, owner_of(request))
    wants_url = request.query_params.get("video") == "url"
    reply = await _reply(request, job, max_bytes=0 if wants_url else server.config.max_run_bytes)
    if job.status is JobStatus.IN_QUEUE:
        reply["jobsAhead"] = await server.queue.ahead(job_id)
        reply["workers"] = len(await server.queue.workers())
    return json_response(reply)


@router.post("/cancel/{job_id}", summary="Take a job back")
async def cancel(request: Request, job_id: str) -> Response:
    """A job that has ended stays as it is."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "cancel")
    await server.own_job(job_id, owner_of(request))
    job = await server.queue.cancel(job_id)
    return json_response({"id": job.id, "status": job.status.value})


@router.post("/retry/{job_id}", summary="Send a job again that FAILED or TIMED_OUT")
async def retry(request: Request, job_id: str) -> Response:
    """The same id and input; what the job had answered is removed."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "run")
    before = await server.own_job(job_id, owner_of(request))
    expected = server.database.pending_webhook(job_id)
    if before.webhook is not None:  # first: it may end at once
        server.database.expect_webhook(job_id, server.base_url(request), now=server.clock())
    try:
        job = await server.queue.retry(job_id, max_waiting=server.limits.max_waiting)
    except MultiTalkError:
        server.database.forget_webhook(job_id)
        if expected is not None:
            server.database.keep_webhook(expected)
        raise
    server.database.forget_stream(job_id)
    return json_response({"id": job.id, "status": job.status.value})


@router.post("/purge-queue", summary="Forget every job of this key that no worker has begun")
async def purge_queue(request: Request) -> Response:
    """Jobs of other keys stay."""
    server, owner = server_of(request), owner_of(request)
    server.limits.admit(caller_of(request), "purge-queue")
    removed = await server.queue.purge(owner=owner)
    server.quota.removed(owner)
    return json_response({"removed": removed, "status": "completed"})


@router.get("/health", summary="How many jobs and workers there are")
async def health(request: Request) -> Response:
    """RunPod's fields; the counts are of all keys."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "status")
    counts = await server.queue.counts()
    workers = await server.queue.workers()
    starting = server.own_workers - {worker.id for worker in workers}
    running = sum(worker.job_id is not None for worker in workers)
    idle = sum(worker.job_id is None and not worker.draining for worker in workers)
    return json_response(
        {
            "jobs": {
                "completed": counts.completed,
                "failed": counts.failed,
                "inProgress": counts.in_progress,
                "inQueue": counts.in_queue,
                "retried": counts.retried,
            },
            "workers": {
                "idle": idle,
                "initializing": len(starting),
                "ready": idle + running,
                "running": running,
                "throttled": 0,
                "unhealthy": 0,
            },
        }
    )


@router.get("/requests", summary="This key's jobs, the youngest first")
async def requests(request: Request) -> Response:
    """`?limit=` (1 to 100), `?status=`, and for the next page `?before=` the last job's id.

    `title` has the first words that are said, `frameUrl` a small picture, or is null.
    """
    server, owner = server_of(request), owner_of(request)
    server.limits.admit(caller_of(request), "status")
    limit = _number(request, "limit", MAX_PAGE, 1, MAX_PAGE)
    wanted = _status(request)
    before = request.query_params.get("before")
    if before is not None:
        await server.own_job(before, owner)
    jobs = await server.queue.jobs(owner=owner, status=wanted, limit=limit + 1, before=before)
    shown = jobs[:limit]
    now = server.clock()
    return json_response(
        {
            "requests": [
                {
                    "id": job.id,
                    "status": job.status.value,
                    "createdAt": round(job.created_at * 1000),
                    "delayTime": round(job.delay_seconds(now) * 1000),
                    "executionTime": round((job.execution_seconds(now) or 0.0) * 1000),
                    "error": job.error,
                    "progress": job.progress,
                    "title": job.title,
                    "frameUrl": _frame_url(request, job),
                }
                for job in shown
            ],
            "next": shown[-1].id if len(jobs) > limit else None,
        }
    )


def _frame_url(request: Request, job: Job) -> str | None:
    """Where a small picture of a job can be had: its first frame, or its portrait until then."""
    server = server_of(request)
    has_frame = frame_of(job) is not None
    if not has_frame and job.portrait is None:
        return None
    base_url, now = server.base_url(request), server.clock()
    url = media_url(job.id, ".jpg", url_signer=server.url_signer, base_url=base_url, now=now)
    return f"{url}&of={'video' if has_frame else 'portrait'}"  # browsers keep both apart


def _order(server: Server, given: object, *, owner: str, idempotency_key: str | None) -> Submission:
    return parse_run_body(
        given,
        settings=server.settings,
        owner=owner,
        retention_seconds=server.config.retention_seconds,
        idempotency_key=idempotency_key,
    )


async def _reply(request: Request, job: Job, *, max_bytes: int) -> dict[str, Any]:
    server = server_of(request)
    return await job_reply(
        job,
        media=server.queue.media,
        url_signer=server.url_signer,
        base_url=server.base_url(request),
        now=server.clock(),
        max_bytes=max_bytes,
    )


def _idempotency_key(request: Request) -> str | None:
    return request.headers.get("idempotency-key")


def _number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query, within its limits.

    Raises:
        InvalidRequest: It is none, or not within.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 15):
        raise InvalidRequest("expected_integer", field=name, value=brief(text))
    if int(text) < low:
        raise InvalidRequest("too_low", field=name, value=text, limit=low)
    if int(text) > high:
        raise InvalidRequest("too_high", field=name, value=text, limit=high)
    return int(text)


def _status(request: Request) -> JobStatus | None:
    text = request.query_params.get("status")
    if text is None:
        return None
    if text not in JobStatus.__members__:
        raise not_a_choice("status", brief(text), JobStatus.__members__)
    return JobStatus(text)


@router.post("/stream/{job_id}", summary="The same as GET")
@router.get("/stream/{job_id}", summary="The video's new pieces")
async def stream(request: Request, job_id: str) -> Response:
    """Joined, the pieces are a fragmented MP4. Each is handed out once.

    RunPod's clients poll for ever where a job is CANCELLED: here it is FAILED to them.
    """
    server = server_of(request)
    server.limits.admit(caller_of(request), "stream")
    job = await server.own_job(job_id, owner_of(request))
    after = server.database.handed_out(job_id)
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
        server.database.hand_out(job_id, pieces[-1].number)
    return json_response(reply)
