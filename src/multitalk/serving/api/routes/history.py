"""Earlier talks: what they were made from, to be made again; and deleting one."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from multitalk.errors import MultiTalkError, NotFound
from multitalk.inputs.sniff import SNIFFED_BYTES, sniff
from multitalk.inputs.source import Inline, parse_source
from multitalk.schema.sources import UPLOAD_SCHEME, is_upload, map_sources, named_sources
from multitalk.serving.api.dependencies import Server, caller_of, owner_of, server_of
from multitalk.serving.api.responses import json_response

router = APIRouter(prefix="/v2/{endpoint}")


@router.get("/input/{job_id}", summary="What a job was made from")
async def given_input(request: Request, endpoint: str, job_id: str) -> Response:
    """`input` as it was sent. A file of it is the address here at which `files` says it is."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "status")
    given = await _given(server, job_id, owner_of(request))
    files = {
        field: f"/v2/{quote(endpoint)}/input/{job_id}/{quote(field)}"
        for field, source in named_sources(given)
        if is_upload(source) or _inline(source, field) is not None
    }
    shown = map_sources(given, files.get)
    return json_response({"id": job_id, "input": shown, "files": files})


@router.get("/input/{job_id}/{field:path}", summary="A file that a job was made from")
async def given_file(request: Request, job_id: str, field: str) -> Response:
    """`field` is `image_path`, or `audio_paths.` and a speaker's name."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "status")
    given = await _given(server, job_id, owner_of(request))
    source = dict(named_sources(given)).get(field, "")
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if is_upload(source):
        # another job's file is looked for under this one, where it is not
        name = f"{job_id}/{source.removeprefix(UPLOAD_SCHEME).rpartition('/')[2]}"
        size = await server.queue.media.size(name)
        kind = await _media_type(server.queue.media.read(name, end=SNIFFED_BYTES))
        content = server.queue.media.read(name)
        headers["Content-Length"] = str(size)
        return StreamingResponse(content, media_type=kind, headers=headers)
    if (inline := _inline(source, field)) is not None:
        decoded = inline.decode()
        return Response(decoded, media_type=_type_of(decoded[:SNIFFED_BYTES]), headers=headers)
    raise NotFound("upload_not_found", field=field)


@router.post("/delete/{job_id}", summary="Delete a job that has ended, with its video and files")
async def delete(request: Request, job_id: str) -> Response:
    """Nothing of it is left. A job that has not ended is to be cancelled first."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "cancel")
    owner = owner_of(request)
    await server.own_job(job_id, owner)
    await server.queue.forget(job_id)
    server.quota.removed(owner)
    server.database.forget_stream(job_id)
    return json_response({"id": job_id, "deleted": True})


async def _given(server: Server, job_id: str, owner: str) -> Mapping[str, Any]:
    """The input of a job of this caller's; without fields where it was no object."""
    await server.own_job(job_id, owner)
    given = (await server.queue.submission(job_id)).input
    return given if isinstance(given, Mapping) else {}


def _inline(source: str, field: str) -> Inline | None:
    """A file inside the request; None for an address or a path, which are not ours to open."""
    try:
        parsed = parse_source(source, field=field)
    except MultiTalkError:  # the job failed for it
        return None
    return parsed if isinstance(parsed, Inline) else None


async def _media_type(chunks: AsyncIterator[bytes]) -> str:
    return _type_of(b"".join([chunk async for chunk in chunks]))


def _type_of(head: bytes) -> str:
    """Good enough for a browser, which looks at the bytes of what it plays or shows."""
    container = sniff(head)
    if container is None:
        return "application/octet-stream"
    return f"{container.medium}/{container.suffix.removeprefix('.')}"
