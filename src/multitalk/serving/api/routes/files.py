"""Files: uploads ahead of a job, the faces of a picture, and where a video comes from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import InvalidRequest
from multitalk.inputs.source_file import SourceFile, SourceKind
from multitalk.schema.validation import brief
from multitalk.serving.api.dependencies import (
    DIGITS,
    Caller,
    Owner,
    Server,
    ask_about_picture,
    cancel_on_disconnect,
    rate_limit,
)
from multitalk.serving.api.models import (
    FacesBody,
    FacesReply,
    InspectBody,
    InspectReply,
    SpeechError,
    UploadReply,
)
from multitalk.serving.api.openapi import BINARY, EXAMPLE_SOURCE, FILE, BodyRoute, refusals
from multitalk.serving.api.request_body import BodyReader, JsonBody, content_length
from multitalk.serving.api.responses import json_response, request_locale
from multitalk.serving.api.uploads import UPLOAD_PREFIX
from multitalk.serving.sandbox.pool import INSPECTION_CPU_SECONDS, limits_for

faces_body = JsonBody(
    FacesBody,
    example={"image_path": EXAMPLE_SOURCE},
    max_bytes=lambda config: config.max_run_bytes,
    takes_file=True,
)

inspect_body = JsonBody(
    InspectBody,
    example={"video": EXAMPLE_SOURCE},
    max_bytes=lambda config: config.max_run_bytes,
    takes_file=True,
)

router = APIRouter(tags=["Files"], route_class=BodyRoute)


@router.post(
    "/uploads",
    summary="Send a large file ahead of its job",
    status_code=201,
    response_model=UploadReply,
    responses=refusals(400, 413, 429, 507),
    openapi_extra={"requestBody": {"required": True, "content": {BINARY: FILE}}},
)
async def upload(
    request: Request, server: Annotated[Server, rate_limit("upload")], owner: Owner
) -> Response:
    """Body: the file itself. `source` in the answer is what a job names it by, for a day."""
    announced = content_length(request)
    await server.quota.check(owner, announced)
    with server.quota.receiving(owner) as on_bytes:
        kept, container, size = await server.uploads.receive(
            request.stream(),
            announced=announced,
            owner=owner,
            now=server.clock(),
            on_bytes=on_bytes,
        )
    if container.medium == "image":
        server.sandbox.warm()  # for its faces, which come next
    reply: UploadReply = {
        "id": kept.id,
        "source": UPLOAD_PREFIX + kept.id,
        "bytes": size,
        "format": container.name,
        "medium": container.medium,
        "expires": round(kept.expires),
    }
    return json_response(reply, status=201)


@router.post(
    "/faces",
    summary="Where the faces of a picture are",
    response_model=FacesReply,
    responses=refusals(400, 404, 413, 415, 429, 507),
)
async def faces(
    request: Request,
    *,
    server: Annotated[Server, rate_limit("other")],
    owner: Owner,
    caller: Caller,
    body: Annotated[BodyReader, Depends(faces_body)],
    speakers: Annotated[
        int,
        Field(ge=1),
        DIGITS,
        Query(description="looks for small faces, too, until so many are found"),
    ] = 1,
) -> Response:
    """Body: the picture, or JSON `{"image_path": "upload://ID"}`. Boxes are in its pixels."""
    if speakers > (limit := server.settings.max_speakers):
        raise InvalidRequest("too_high", field="speakers", value=speakers, limit=limit)
    with (
        server.sandbox.scheduler.admit(caller) as ticket,
        server.sandbox.directory() as directory,
    ):
        path = await _file(
            request, server, owner, body, directory, field="image_path", kind="image"
        )
        work = ask_about_picture(
            server, ticket, "faces", path, directory=directory, speakers=speakers
        )
        return json_response(await cancel_on_disconnect(request, work))


@router.post(
    "/v1/inspect",
    summary="Where a video comes from: its watermark, its signed manifest and its label",
    response_model=InspectReply,
    responses=refusals(400, 404, 413, 415, 429, 507, model=SpeechError),
)
async def inspect(
    request: Request,
    server: Annotated[Server, rate_limit("other")],
    owner: Owner,
    caller: Caller,
    body: Annotated[BodyReader, Depends(inspect_body)],
) -> Response:
    """Body: the video, sound or picture, or JSON `{"video": "upload://ID"}`.

    Nothing is fetched, and nothing of the file is kept.
    """
    with (
        server.sandbox.scheduler.admit(caller) as ticket,
        server.sandbox.directory() as directory,
    ):
        path = await _file(request, server, owner, body, directory, field="video", kind="media")
        work = server.sandbox.run(
            ticket,
            "inspection",
            {"path": str(path), "field": "video", "locale": request_locale(request)},
            limits=limits_for(server.settings, INSPECTION_CPU_SECONDS),
            directory=directory,
            field="video",
            readable=[path],
        )
        return json_response(await cancel_on_disconnect(request, work))


async def _file(
    request: Request,
    server: Server,
    owner: str,
    body: BodyReader,
    directory: Path,
    *,
    field: str,
    kind: SourceKind,
) -> Path:
    """The file that is asked about: an upload, or the body, which is kept in `directory`."""
    if request.headers.get("content-type", "").startswith("application/json"):
        given = await body.read()
        source = given.get(field) if isinstance(given, Mapping) else None
        if not isinstance(source, str):
            raise InvalidRequest("expected_text", field=field, value=brief(source))
        return server.uploads.path(source, field=field, owner=owner, now=server.clock())
    with SourceFile(directory, field=field, kind=kind, settings=server.settings) as file:
        async for chunk in request.stream():
            file.write(chunk)
        return file.finish()
