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
    Owner,
    OwnJob,
    Server,
    rate_limit,
)
from multitalk.serving.api.job_json import frame_of, media_url
from multitalk.serving.api.models import DeletedJob, InputReply, JobList, ListedJob
from multitalk.serving.api.openapi import media, refusals
from multitalk.serving.api.responses import json_response
from multitalk.serving.queue import Job

MAX_PAGE = 100

router = APIRouter(prefix="/v2/{endpoint}", tags=["Earlier talks"])


@router.get(
    "/requests",
    summary="This key's jobs, the youngest first",
    response_model=JobList,
    responses=refusals(400, 404, 429),
)
async def requests(
    request: Request,
    *,
    server: Annotated[Server, rate_limit("status")],
    owner: Owner,
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), DIGITS] = MAX_PAGE,
    status: JobStatus | None = None,
    before: Annotated[str | None, Query(description="for the next page: the last job's id")] = None,
) -> Response:
    """`title` has the first words of the texts, `frameUrl` a small picture, or is null."""
    if before is not None:
        await server.own_job(before, owner)
    jobs = await server.queue.jobs(owner=owner, status=status, limit=limit + 1, before=before)
    shown, now, base_url = jobs[:limit], server.clock(), server.base_url(request)
    return json_response(
        JobList(
            requests=[_listed(server, job, base_url, now) for job in shown],
            next=shown[-1].id if len(jobs) > limit else None,
        )
    )


@router.get(
    "/input/{job_id}",
    summary="What a job was made from",
    response_model=InputReply,
    responses=refusals(404, 429),
)
async def given_input(
    server: Annotated[Server, rate_limit("status")], request: Request, job: OwnJob
) -> Response:
    """`input` as it was sent. A file of it is the address here at which `files` says it is."""
    given, endpoint = await _given(server, job), request.path_params["endpoint"]
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
)
async def given_file(
    server: Annotated[Server, rate_limit("status")],
    job: OwnJob,
    field: Annotated[str, Path(examples=["image_path"])],
) -> Response:
    """`field` is `image_path`, or `audio_paths.` and a speaker's name."""
    given = await _given(server, job)
    source = dict(named_sources(given)).get(field, "")
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if is_upload(source):
        # another job's file is looked for under this one, where it is not
        name = f"{job.id}/{source.removeprefix(UPLOAD_SCHEME).rpartition('/')[2]}"
        size = await server.queue.media.size(name)
        kind = await _media_type(server.queue.media.read(name, end=SNIFFED_BYTES))
        content = server.queue.media.read(name)
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
)
async def delete(
    server: Annotated[Server, rate_limit("cancel")], owner: Owner, job: OwnJob
) -> Response:
    """Nothing of it is left. A job that has not ended is to be cancelled first."""
    await server.queue.forget(job.id)
    server.quota.removed(owner)
    server.database.forget_stream(job.id)
    return json_response(DeletedJob(id=job.id, deleted=True))


def _listed(server: Server, job: Job, base_url: str, now: float) -> ListedJob:
    return {
        "id": job.id,
        "status": job.status,
        "createdAt": round(job.created_at * 1000),
        "delayTime": round(job.delay_seconds(now) * 1000),
        "executionTime": round((job.execution_seconds(now) or 0.0) * 1000),
        "error": job.error,
        "progress": job.progress,
        "title": job.title,
        "frameUrl": _frame_url(server, job, base_url, now),
    }


def _frame_url(server: Server, job: Job, base_url: str, now: float) -> str | None:
    """Where a small picture of a job can be had: its first frame, or its portrait until then."""
    has_frame = frame_of(job) is not None
    if not has_frame and job.portrait is None:
        return None
    url = media_url(job.id, ".jpg", url_signer=server.url_signer, base_url=base_url, now=now)
    return f"{url}&of={'video' if has_frame else 'portrait'}"  # browsers keep both apart


async def _given(server: Server, job: Job) -> Mapping[str, Any]:
    """The input of a job; without fields where it was no object."""
    given = (await server.queue.submission(job.id)).input
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
