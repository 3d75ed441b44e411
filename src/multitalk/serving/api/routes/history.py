"""Earlier talks: their list, what they were made from, and deleting one."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from multitalk.errors import MultiTalkError, NotFound
from multitalk.inputs.sniff import SNIFFED_BYTES, sniff
from multitalk.inputs.source import Inline, parse_source
from multitalk.schema import JobStatus
from multitalk.schema.sources import UPLOAD_SCHEME, is_upload, map_sources, named_sources
from multitalk.serving.api.dependencies import (
    DIGITS,
    DatabaseDep,
    Owner,
    OwnJob,
    QueueDep,
    QuotaDep,
    RepliesDep,
    rate_limit,
)
from multitalk.serving.api.jobs.job_access import own_job
from multitalk.serving.api.models import DeletedJob, InputReply, JobList
from multitalk.serving.api.openapi import media, refusals
from multitalk.serving.api.responses import json_response
from multitalk.serving.queue import Job, JobQueue

MAX_PAGE = 100

router = APIRouter(prefix="/v2/{endpoint}", tags=["Earlier talks"])


@router.get(
    "/requests",
    summary="This key's jobs, the youngest first",
    response_model=JobList,
    responses=refusals(400, 404, 429),
    dependencies=[rate_limit("status")],
)
async def requests(
    *,
    queue: QueueDep,
    replies: RepliesDep,
    owner: Owner,
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), DIGITS] = MAX_PAGE,
    status: JobStatus | None = None,
    before: Annotated[str | None, Query(description="for the next page: the last job's id")] = None,
) -> Response:
    """`title` has the first words of the texts, `frameUrl` a small picture, or is null."""
    if before is not None:
        await own_job(queue, before, owner)
    jobs = await queue.jobs(owner=owner, status=status, limit=limit + 1, before=before)
    shown = jobs[:limit]
    return json_response(
        JobList(
            requests=[replies.listed(job) for job in shown],
            next=shown[-1].id if len(jobs) > limit else None,
        )
    )


@router.get(
    "/input/{job_id}",
    summary="What a job was made from",
    response_model=InputReply,
    responses=refusals(404, 429),
    dependencies=[rate_limit("status")],
)
async def given_input(queue: QueueDep, request: Request, job: OwnJob) -> Response:
    """`input` as it was sent. A file of it is the address here at which `files` says it is."""
    given, endpoint = await _input_of(queue, job), request.path_params["endpoint"]
    files = {
        field: f"/v2/{quote(endpoint)}/input/{job.id}/{quote(field)}"
        for field, source in named_sources(given)
        if is_upload(source) or _inline(source, field) is not None
    }
    shown = map_sources(given, files.get)
    return json_response(InputReply(id=job.id, input=shown, files=files))


@router.get(
    "/input/{job_id}/{field:path}",
    summary="A file that a job was made from",
    response_class=Response,
    responses=refusals(404, 429) | media("*/*"),
    dependencies=[rate_limit("status")],
)
async def given_file(
    queue: QueueDep,
    job: OwnJob,
    field: Annotated[str, Path(examples=["image_path"])],
) -> Response:
    """`field` is `image_path`, or `audio_paths.` and a speaker's name."""
    given = await _input_of(queue, job)
    source = dict(named_sources(given)).get(field, "")
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if is_upload(source):
        # another job's file is looked for under this one, where it is not
        name = f"{job.id}/{source.removeprefix(UPLOAD_SCHEME).rpartition('/')[2]}"
        size = await queue.media.size(name)
        kind = await _media_type(queue.media.read(name, end=SNIFFED_BYTES))
        content = queue.media.read(name)
        headers["Content-Length"] = str(size)
        return StreamingResponse(content, media_type=kind, headers=headers)
    if (inline := _inline(source, field)) is not None:
        decoded = inline.decode()
        return Response(decoded, media_type=_type_of(decoded[:SNIFFED_BYTES]), headers=headers)
    raise NotFound("upload_not_found", field=field)


@router.post(
    "/delete/{job_id}",
    summary="Delete a job that has ended, with its video and files",
    response_model=DeletedJob,
    responses=refusals(404, 409, 429),
    dependencies=[rate_limit("cancel")],
)
async def delete(
    queue: QueueDep, quota: QuotaDep, database: DatabaseDep, owner: Owner, job: OwnJob
) -> Response:
    """Nothing of it is left. A job that has not ended is to be cancelled first."""
    await queue.forget(job.id)
    quota.removed(owner)
    database.forget_stream(job.id)
    return json_response(DeletedJob(id=job.id, deleted=True))


async def _input_of(queue: JobQueue, job: Job) -> Mapping[str, Any]:
    """The input of a job; without fields where it was no object."""
    given = (await queue.submission(job.id)).input
    return given if isinstance(given, Mapping) else {}


def _inline(source: str, field: str) -> Inline | None:
    """A file inside the request; None for a URL or a path, which the server does not open."""
    try:
        parsed = parse_source(source, field=field)
    except MultiTalkError:  # the job has failed for it
        return None
    return parsed if isinstance(parsed, Inline) else None


async def _media_type(chunks: AsyncIterator[bytes]) -> str:
    return _type_of(b"".join([chunk async for chunk in chunks]))


def _type_of(head: bytes) -> str:
    """The media type of a file by its first bytes; browsers sniff, too."""
    container = sniff(head)
    if container is None:
        return "application/octet-stream"
    return f"{container.medium}/{container.suffix.removeprefix('.')}"
