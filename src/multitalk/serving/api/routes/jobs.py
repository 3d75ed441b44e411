"""RunPod's endpoint protocol: `/v2/{endpoint}/run` and what follows from it.

The endpoint's name is the client's: this server has one queue, which answers to any.
"""

import base64
import time
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import Cancelled, InvalidRequest, MultiTalkError
from multitalk.messages import sentence
from multitalk.schema import JobStatus
from multitalk.serving.api.dependencies import (
    DIGITS,
    Caller,
    Owner,
    OwnJob,
    Server,
    cancel_on_disconnect,
    rate_limit,
)
from multitalk.serving.api.estimate import estimate
from multitalk.serving.api.job_json import job_reply, read_whole
from multitalk.serving.api.models import (
    MAX_BATCH,
    MAX_KEY_CHARACTERS,
    BatchBody,
    EstimateReply,
    HealthReply,
    JobReply,
    PurgeReply,
    RunBody,
    StreamChunk,
    StreamReply,
    SubmittedJob,
    SubmittedJobs,
)
from multitalk.serving.api.openapi import EXAMPLE_JOB, BodyRoute, refusals
from multitalk.serving.api.request_body import BodyReader, JsonBody, content_length
from multitalk.serving.api.responses import json_response
from multitalk.serving.api.submission import (
    check_idempotency_key,
    in_batch,
    parse_batch,
    parse_run_body,
    submit,
)
from multitalk.serving.queue import Job, Submission

DEFAULT_WAIT_MS, MIN_WAIT_MS, MAX_WAIT_MS = 90_000, 1_000, 300_000
BATCH_BODIES = 2  # a batch may be as large as so many bodies of /run
MAX_BATCH_VALUES = 2000 * MAX_BATCH  # the largest job has some 1400
MAX_FRAGMENTS = 8  # of one answer, each below 1 MB; the others are in the next answers

run_body = JsonBody(RunBody, example=EXAMPLE_JOB, max_bytes=lambda config: config.max_run_bytes)
runsync_body = JsonBody(
    RunBody, example=EXAMPLE_JOB, max_bytes=lambda config: config.max_runsync_bytes
)
batch_body = JsonBody(
    BatchBody,
    example={"jobs": [EXAMPLE_JOB]},
    max_bytes=lambda config: BATCH_BODIES * config.max_run_bytes,
    max_values=MAX_BATCH_VALUES,
)
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY_CHARACTERS},
    ),
]

router = APIRouter(
    prefix="/v2/{endpoint}",
    tags=["Jobs"],
    route_class=BodyRoute,
)


@router.post(
    "/run",
    summary="Send a job; the answer is its id",
    response_model=SubmittedJob,
    responses=refusals(400, 404, 409, 413, 429, 507),
)
async def run(
    request: Request,
    server: Annotated[Server, rate_limit("run")],
    owner: Owner,
    body: Annotated[BodyReader, Depends(run_body)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Body: `input`, and perhaps `webhook`, `policy`, `s3Config`."""
    submission = _submission(server, owner, await body.read(), idempotency_key)
    await server.quota.admit(owner, content_length(request))
    (job,) = await submit(server, [submission], base_url=server.base_url(request))
    return json_response(_submitted(job))


@router.post(
    "/runsync",
    summary="Send a job and wait for its end",
    response_model=JobReply,
    responses=refusals(400, 404, 409, 413, 429, 507),
)
async def run_sync(
    request: Request,
    *,
    server: Annotated[Server, rate_limit("runsync")],
    owner: Owner,
    body: Annotated[BodyReader, Depends(runsync_body)],
    wait: Annotated[
        int,
        Field(ge=MIN_WAIT_MS, le=MAX_WAIT_MS),
        DIGITS,
        Query(description="at most, in milliseconds"),
    ] = DEFAULT_WAIT_MS,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """As `/run`; waits until the job has ended."""
    submission = _submission(server, owner, await body.read(), idempotency_key)
    await server.quota.admit(owner, content_length(request))
    (job,) = await submit(server, [submission], base_url=server.base_url(request))
    del submission  # as large as the body was
    end = time.monotonic() + wait / 1000  # a clock that nobody sets
    while not job.is_final and not server.shutdown.requested.is_set() and time.monotonic() < end:
        job = await server.wait_for_change(job, seconds=end - time.monotonic())
    max_bytes = server.config.max_runsync_bytes
    return json_response(await _reply(request, server, job, max_bytes=max_bytes))


@router.post(
    "/batch",
    summary="Send several jobs at once: all or none",
    response_model=SubmittedJobs,
    responses=refusals(400, 404, 409, 413, 429, 507),
)
async def batch(
    request: Request,
    *,
    server: Annotated[Server, rate_limit("run")],
    owner: Owner,
    caller: Caller,
    body: Annotated[BodyReader, Depends(batch_body)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Body: `{"jobs": [...]}`, 1 to 100 bodies of `/run`, which count as many.

    All are judged, and their uploads found, before any is sent; then all are stored in one step.
    Without an `Idempotency-Key` a batch that is sent again is another one.
    """
    jobs = parse_batch(await body.read())
    server.limits.admit(caller, "run", count=len(jobs) - 1)
    check_idempotency_key(idempotency_key)
    submissions = []
    for number, given in enumerate(jobs):
        with in_batch(number):
            submission = _submission(server, owner, given, None)
        key = idempotency_key and f"{idempotency_key}[{number}]"
        submissions.append(submission.model_copy(update={"idempotency_key": key}))
    await server.quota.admit(owner, content_length(request))
    sent = await submit(server, submissions, base_url=server.base_url(request), is_batch=True)
    return json_response(SubmittedJobs(jobs=[_submitted(job) for job in sent]))


@router.post(
    "/status/{job_id}",
    summary="The same as GET",
    response_model=JobReply,
    responses=refusals(404, 429),
)
@router.get(
    "/status/{job_id}",
    summary="A job's status",
    response_model=JobReply,
    responses=refusals(404, 429),
)
async def status(
    request: Request,
    server: Annotated[Server, rate_limit("status")],
    job: OwnJob,
    video: Annotated[
        str | None, Query(description="`url`: a finished video is an address, however small it is")
    ] = None,
) -> Response:
    """A job that waits has `jobsAhead` (those that are done before it) and `workers`."""
    max_bytes = 0 if video == "url" else server.config.max_run_bytes
    reply = await _reply(request, server, job, max_bytes=max_bytes)
    if job.status is JobStatus.IN_QUEUE:
        reply["jobsAhead"] = await server.queue.ahead(job.id)
        reply["workers"] = len(await server.queue.workers())
    return json_response(reply)


@router.post(
    "/cancel/{job_id}",
    summary="Take a job back",
    response_model=SubmittedJob,
    responses=refusals(404, 429),
)
async def cancel(server: Annotated[Server, rate_limit("cancel")], job: OwnJob) -> Response:
    """A job that has ended stays as it is."""
    return json_response(_submitted(await server.queue.cancel(job.id)))


@router.post(
    "/retry/{job_id}",
    summary="Send a job again that FAILED or TIMED_OUT",
    response_model=SubmittedJob,
    responses=refusals(404, 409, 429, 507),
)
async def retry(
    request: Request, server: Annotated[Server, rate_limit("run")], job: OwnJob
) -> Response:
    """The same id and input; what the job had answered is removed."""
    expected = server.database.pending_webhook(job.id)
    if job.webhook is not None:  # first: it may end at once
        server.database.expect_webhook(job.id, server.base_url(request), now=server.clock())
    try:
        retried = await server.queue.retry(job.id, max_waiting=server.limits.max_waiting)
    except MultiTalkError:
        server.database.forget_webhook(job.id)
        if expected is not None:
            server.database.keep_webhook(expected)
        raise
    server.database.forget_stream(job.id)
    return json_response(_submitted(retried))


@router.post(
    "/stream/{job_id}",
    summary="The same as GET",
    response_model=StreamReply,
    responses=refusals(404, 429),
)
@router.get(
    "/stream/{job_id}",
    summary="The video's new fragments",
    response_model=StreamReply,
    responses=refusals(404, 429),
)
async def stream(server: Annotated[Server, rate_limit("stream")], job: OwnJob) -> Response:
    """Joined, the fragments are an MP4. Each is handed out once.

    RunPod's clients poll for ever where a job is CANCELLED: here it is FAILED to them.
    """
    after = server.database.returned_fragments(job.id)
    fragments = (await server.queue.fragments(job.id, after=after))[:MAX_FRAGMENTS]
    chunks: list[StreamChunk] = []
    for fragment in fragments:
        content = await read_whole(server.queue.media, fragment.output["video"])
        encoded = base64.b64encode(content).decode("ascii")
        facts = {name: value for name, value in fragment.output.items() if name != "video"}
        chunks.append({"output": {**facts, "video_base64": encoded}})
    reply = StreamReply(id=job.id, status=job.status, stream=chunks)
    if job.error is not None:
        reply["error"] = job.error
    if job.status is JobStatus.CANCELLED:
        reply["status"] = JobStatus.FAILED
        reply["error"] = sentence(Cancelled().key, job.locale)
    if fragments:
        server.database.set_returned_fragments(job.id, fragments[-1].number)
    return json_response(reply)


@router.post(
    "/purge-queue",
    summary="Forget every job of this key that no worker has begun",
    response_model=PurgeReply,
    responses=refusals(429),
)
async def purge_queue(
    server: Annotated[Server, rate_limit("purge-queue")], owner: Owner
) -> Response:
    """Jobs of other keys stay."""
    removed = await server.queue.purge(owner=owner)
    server.quota.removed(owner)
    return json_response(PurgeReply(removed=removed, status="completed"))


@router.get(
    "/health",
    summary="How many jobs and workers there are",
    response_model=HealthReply,
    responses=refusals(429),
)
async def health(server: Annotated[Server, rate_limit("status")]) -> Response:
    """RunPod's fields; the counts are of all keys."""
    counts = await server.queue.counts()
    workers = await server.queue.workers()
    starting = server.own_workers - {worker.id for worker in workers}
    running = sum(worker.job_id is not None for worker in workers)
    idle = sum(worker.job_id is None and not worker.draining for worker in workers)
    return json_response(
        HealthReply(
            jobs={
                "completed": counts.completed,
                "failed": counts.failed,
                "inProgress": counts.in_progress,
                "inQueue": counts.in_queue,
                "retried": counts.retried,
            },
            workers={
                "idle": idle,
                "initializing": len(starting),
                "ready": idle + running,
                "running": running,
                "throttled": 0,
                "unhealthy": 0,
            },
        )
    )


@router.post(
    "/estimate",
    summary="How long a job will take",
    response_model=EstimateReply,
    responses=refusals(400, 404, 413, 415, 429, 507),
)
async def estimate_job(
    request: Request,
    server: Annotated[Server, rate_limit("other")],
    owner: Owner,
    caller: Caller,
    body: Annotated[BodyReader, Depends(run_body)],
) -> Response:
    """Body as of `/run`. Errors of the input are those that the worker would report."""
    with server.sandbox.scheduler.admit(caller) as ticket:
        given = await body.read()
        if not isinstance(given, Mapping) or given.get("input") is None:
            raise InvalidRequest("field_missing", field="input")
        work = estimate(server, ticket, given["input"], owner=owner)
        return json_response(await cancel_on_disconnect(request, work))


def _submission(
    server: Server, owner: str, given: object, idempotency_key: str | None
) -> Submission:
    return parse_run_body(
        given,
        settings=server.settings,
        owner=owner,
        retention_seconds=server.config.retention_seconds,
        idempotency_key=idempotency_key,
    )


def _submitted(job: Job) -> SubmittedJob:
    return {"id": job.id, "status": job.status}


async def _reply(request: Request, server: Server, job: Job, *, max_bytes: int) -> JobReply:
    return await job_reply(
        job,
        media=server.queue.media,
        url_signer=server.url_signer,
        base_url=server.base_url(request),
        now=server.clock(),
        max_bytes=max_bytes,
    )
