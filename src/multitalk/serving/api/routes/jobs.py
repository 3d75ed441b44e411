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

from multitalk.errors import Cancelled, InvalidRequest
from multitalk.messages import sentence
from multitalk.schema import JobStatus
from multitalk.serving.api.body_parser import content_length
from multitalk.serving.api.database import Database
from multitalk.serving.api.dependencies import (
    DIGITS,
    BaseUrl,
    Caller,
    ClientMediaDep,
    ConfigDep,
    DatabaseDep,
    EstimatorDep,
    LimitsDep,
    Owner,
    OwnJob,
    QueueDep,
    QuotaDep,
    RepliesDep,
    ShutdownDep,
    SubmissionsDep,
    WorkerIds,
    cancel_on_disconnect,
    rate_limit,
)
from multitalk.serving.api.jobs.job_access import wait_for_change
from multitalk.serving.api.jobs.job_replies import read_whole
from multitalk.serving.api.jobs.run_body import (
    check_idempotency_key,
    in_batch,
    parse_batch,
    with_batch_key,
)
from multitalk.serving.api.json_body import BodyReader, JsonBody
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
from multitalk.serving.api.responses import json_response
from multitalk.serving.queue import FragmentRecord, Job, JobQueue

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
    dependencies=[rate_limit("run")],
)
async def run(
    request: Request,
    *,
    submissions: SubmissionsDep,
    quota: QuotaDep,
    owner: Owner,
    base_url: BaseUrl,
    body: Annotated[BodyReader, Depends(run_body)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Body: `input`, and perhaps `webhook`, `policy`, `s3Config`."""
    submission = submissions.parse(await body.read(), owner=owner, idempotency_key=idempotency_key)
    await quota.admit(owner, content_length(request))
    (job,) = await submissions.submit([submission], base_url=base_url)
    return json_response(_submitted_reply(job))


@router.post(
    "/runsync",
    summary="Send a job and wait for its end",
    response_model=JobReply,
    responses=refusals(400, 404, 409, 413, 429, 507),
    dependencies=[rate_limit("runsync")],
)
async def run_sync(
    request: Request,
    *,
    submissions: SubmissionsDep,
    queue: QueueDep,
    replies: RepliesDep,
    quota: QuotaDep,
    shutdown: ShutdownDep,
    config: ConfigDep,
    owner: Owner,
    base_url: BaseUrl,
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
    submission = submissions.parse(await body.read(), owner=owner, idempotency_key=idempotency_key)
    await quota.admit(owner, content_length(request))
    (job,) = await submissions.submit([submission], base_url=base_url)
    del submission  # as large as the body was
    end = time.monotonic() + wait / 1000  # a clock that nobody sets
    while not job.is_final and not shutdown.requested.is_set() and time.monotonic() < end:
        job = await wait_for_change(queue, shutdown, job, seconds=end - time.monotonic())
    max_bytes = config.max_runsync_bytes
    return json_response(await replies.reply(job, max_bytes=max_bytes))


@router.post(
    "/batch",
    summary="Send several jobs at once: all or none",
    response_model=SubmittedJobs,
    responses=refusals(400, 404, 409, 413, 429, 507),
    dependencies=[rate_limit("run")],
)
async def batch(
    request: Request,
    *,
    submissions: SubmissionsDep,
    quota: QuotaDep,
    limits: LimitsDep,
    owner: Owner,
    caller: Caller,
    base_url: BaseUrl,
    body: Annotated[BodyReader, Depends(batch_body)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Body: `{"jobs": [...]}`, 1 to 100 bodies of `/run`, which count as many.

    All are judged, and their uploads found, before any is sent; then all are stored in one step.
    Without an `Idempotency-Key` a batch that is sent again is another one.
    """
    jobs = parse_batch(await body.read())
    limits.admit(caller, "run", count=len(jobs) - 1)
    check_idempotency_key(idempotency_key)
    parsed = []
    for number, given in enumerate(jobs):
        with in_batch(number):
            parsed.append(submissions.parse(given, owner=owner))
    if idempotency_key is not None:
        parsed = with_batch_key(parsed, idempotency_key)
    await quota.admit(owner, content_length(request))
    sent = await submissions.submit(parsed, base_url=base_url, is_batch=True)
    return json_response(SubmittedJobs(jobs=[_submitted_reply(job) for job in sent]))


@router.post(
    "/status/{job_id}",
    summary="The same as GET",
    response_model=JobReply,
    responses=refusals(404, 429),
    dependencies=[rate_limit("status")],
)
@router.get(
    "/status/{job_id}",
    summary="A job's status",
    response_model=JobReply,
    responses=refusals(404, 429),
    dependencies=[rate_limit("status")],
)
async def status(
    replies: RepliesDep,
    job: OwnJob,
    video: Annotated[
        str | None, Query(description="`url`: a finished video is an address, however small it is")
    ] = None,
) -> Response:
    """A job that waits has `jobsAhead` (those that are done before it) and `workers`."""
    max_bytes = 0 if video == "url" else None
    return json_response(await replies.status(job, max_bytes=max_bytes))


@router.get(
    "/health",
    summary="How many jobs and workers there are",
    response_model=HealthReply,
    responses=refusals(429),
    dependencies=[rate_limit("status")],
)
async def health(queue: QueueDep, own_workers: WorkerIds) -> Response:
    """RunPod's fields; the counts are of all keys."""
    counts, workers = await queue.load()
    starting = own_workers - {worker.id for worker in workers}
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
    "/cancel/{job_id}",
    summary="Take a job back",
    response_model=SubmittedJob,
    responses=refusals(404, 429),
    dependencies=[rate_limit("cancel")],
)
async def cancel(queue: QueueDep, job: OwnJob) -> Response:
    """A job that has ended stays as it is."""
    return json_response(_submitted_reply(await queue.cancel(job.id)))


@router.post(
    "/retry/{job_id}",
    summary="Send a job again that FAILED or TIMED_OUT",
    response_model=SubmittedJob,
    responses=refusals(404, 409, 429, 507),
    dependencies=[rate_limit("run")],
)
async def retry(submissions: SubmissionsDep, base_url: BaseUrl, job: OwnJob) -> Response:
    """The same id and input; what the job had answered is removed."""
    return json_response(_submitted_reply(await submissions.retry(job, base_url=base_url)))


@router.post(
    "/stream/{job_id}",
    summary="The same as GET",
    response_model=StreamReply,
    responses=refusals(404, 429),
    dependencies=[rate_limit("stream")],
)
@router.get(
    "/stream/{job_id}",
    summary="The video's new fragments",
    response_model=StreamReply,
    responses=refusals(404, 429),
    dependencies=[rate_limit("stream")],
)
async def stream(queue: QueueDep, database: DatabaseDep, job: OwnJob) -> Response:
    """Joined, the fragments are an MP4. Each is handed out once.

    RunPod's clients poll for ever where a job is CANCELLED: here it is FAILED to them.
    """
    chunks = await _next_chunks(queue, database, job.id)
    reply = StreamReply(id=job.id, status=job.status, stream=chunks)
    if job.error is not None:
        reply["error"] = job.error
    if job.status is JobStatus.CANCELLED:
        reply["status"] = JobStatus.FAILED
        reply["error"] = sentence(Cancelled().key, job.locale)
    return json_response(reply)


async def _next_chunks(queue: JobQueue, database: Database, job_id: str) -> list[StreamChunk]:
    """The fragments that no request has returned yet; empty where there are none."""
    while True:
        after = database.returned_fragments(job_id)
        fragments = (await queue.fragments(job_id, after=after))[:MAX_FRAGMENTS]
        chunks = [await _stream_chunk(queue, fragment) for fragment in fragments]
        # Another request may have returned them meanwhile
        if not chunks or database.take_fragments(job_id, after=after, last=fragments[-1].number):
            return chunks


async def _stream_chunk(queue: JobQueue, fragment: FragmentRecord) -> StreamChunk:
    content = await read_whole(queue.media, fragment.output["video"])
    facts = {name: value for name, value in fragment.output.items() if name != "video"}
    return {"output": {**facts, "video_base64": base64.b64encode(content).decode("ascii")}}


@router.post(
    "/purge-queue",
    summary="Forget every job of this key that no worker has begun",
    response_model=PurgeReply,
    responses=refusals(429),
    dependencies=[rate_limit("purge-queue")],
)
async def purge_queue(queue: QueueDep, quota: QuotaDep, owner: Owner) -> Response:
    """Jobs of other keys stay."""
    removed = await queue.purge(owner=owner)
    quota.removed(owner)
    return json_response(PurgeReply(removed=removed, status="completed"))


@router.post(
    "/estimate",
    summary="How long a job will take",
    response_model=EstimateReply,
    responses=refusals(400, 404, 413, 415, 429, 507),
    dependencies=[rate_limit("other")],
)
async def estimate_job(
    request: Request,
    *,
    estimator: EstimatorDep,
    client_media: ClientMediaDep,
    owner: Owner,
    caller: Caller,
    body: Annotated[BodyReader, Depends(run_body)],
) -> Response:
    """Body as of `/run`. Errors of the input are those that the worker would report."""
    with client_media.admit(caller) as ticket:
        given = await body.read()
        if not isinstance(given, Mapping) or given.get("input") is None:
            raise InvalidRequest("field_missing", field="input")
        work = estimator.estimate(ticket, given["input"], owner=owner)
        return json_response(await cancel_on_disconnect(request, work))


def _submitted_reply(job: Job) -> SubmittedJob:
    return {"id": job.id, "status": job.status}
