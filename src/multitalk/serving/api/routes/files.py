"""Files: uploads ahead of a job, the faces of a picture, and where a video comes from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import InvalidRequest
from multitalk.inputs.source_file import SourceFile
from multitalk.schema.validation import brief
from multitalk.serving.api.body_parser import content_length
from multitalk.serving.api.dependencies import (
    DIGITS,
    Caller,
    ClientMediaDep,
    Owner,
    QuotaDep,
    SettingsDep,
    UploadsDep,
    cancel_on_disconnect,
    rate_limit,
)
from multitalk.serving.api.json_body import BodyReader, JsonBody
from multitalk.serving.api.models import (
    FacesBody,
    FacesReply,
    InspectBody,
    InspectReply,
    SpeechError,
    UploadReply,
)
from multitalk.serving.api.openapi import BINARY, EXAMPLE_SOURCE, FILE, BodyRoute, refusals
from multitalk.serving.api.responses import json_response, request_locale
from multitalk.serving.api.uploads import UPLOAD_PREFIX, UploadStore

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
    dependencies=[rate_limit("upload")],
)
async def upload(
    request: Request,
    uploads: UploadsDep,
    quota: QuotaDep,
    client_media: ClientMediaDep,
    owner: Owner,
) -> Response:
    """Body: the file itself. `source` in the answer is what a job names it by, for a day."""
    announced = content_length(request)
    await quota.check(owner, announced)
    with quota.receiving(owner) as on_bytes:
        kept, container, size = await uploads.receive(
            request.stream(),
            announced=announced,
            owner=owner,
            on_bytes=on_bytes,
        )
    if container.medium == "image":
        client_media.warm()  # for its faces, which come next
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
    dependencies=[rate_limit("other")],
)
async def faces(
    request: Request,
    *,
    client_media: ClientMediaDep,
    uploads: UploadsDep,
    settings: SettingsDep,
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
    if speakers > (limit := settings.max_speakers):
        raise InvalidRequest("too_high", field="speakers", value=speakers, limit=limit)
    with client_media.admit(caller) as ticket, client_media.directory() as directory:
        file = SourceFile(directory, field="image_path", kind="image", settings=settings)
        path = await _client_file(request, body, uploads, owner, file)
        work = client_media.faces(ticket, path, directory, speakers=speakers)
        return json_response(await cancel_on_disconnect(request, work))


@router.post(
    "/v1/inspect",
    summary="Where a video comes from: its watermark, its signed manifest and its label",
    response_model=InspectReply,
    responses=refusals(400, 404, 413, 415, 429, 507, model=SpeechError),
    dependencies=[rate_limit("other")],
)
async def inspect(
    request: Request,
    *,
    client_media: ClientMediaDep,
    uploads: UploadsDep,
    settings: SettingsDep,
    owner: Owner,
    caller: Caller,
    body: Annotated[BodyReader, Depends(inspect_body)],
) -> Response:
    """Body: the video, sound or picture, or JSON `{"video": "upload://ID"}`.

    Nothing is fetched, and nothing of the file is kept.
    """
    with client_media.admit(caller) as ticket, client_media.directory() as directory:
        file = SourceFile(directory, field="video", kind="media", settings=settings)
        path = await _client_file(request, body, uploads, owner, file)
        locale = request_locale(request)
        work = client_media.inspection(ticket, path, directory, locale=locale)
        return json_response(await cancel_on_disconnect(request, work))


async def _client_file(
    request: Request, body: BodyReader, uploads: UploadStore, owner: str, received: SourceFile
) -> Path:
    """The file that a request is about: an upload that it names, or its body, received."""
    if request.headers.get("content-type", "").startswith("application/json"):
        given = await body.read()
        source = given.get(received.field) if isinstance(given, Mapping) else None
        if not isinstance(source, str):
            raise InvalidRequest("expected_text", field=received.field, value=brief(source))
        return uploads.path(source, field=received.field, owner=owner)
    with received as file:
        async for chunk in request.stream():
            file.write(chunk)
        return file.finish()
