"""What a web page needs beside the jobs: uploads, faces, estimates, webhooks' secret."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import InvalidRequest
from multitalk.inputs.source_file import SourceFile
from multitalk.schema.validation import brief
from multitalk.serving.api.concurrency import cancel_on_disconnect
from multitalk.serving.api.dependencies import ask_about_picture, caller_of, owner_of, server_of
from multitalk.serving.api.estimate import estimate
from multitalk.serving.api.request_body import content_length, read_body
from multitalk.serving.api.responses import json_response
from multitalk.serving.api.uploads import UPLOAD_PREFIX
from multitalk.serving.api.webhooks import webhook_secret

router = APIRouter()

MAX_DIGITS = 10  # of a number in a query


@router.post("/uploads", summary="Send a large file ahead of its job", status_code=201)
async def upload(request: Request) -> Response:
    """Body: the file itself. `source` in the answer is what a job names it by, for a day."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "upload")
    owner, announced = owner_of(request), content_length(request)
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
        server.sandbox.warm()  # its faces are what is asked for next
    told = {
        "id": kept.id,
        "source": UPLOAD_PREFIX + kept.id,
        "bytes": size,
        "format": container.name,
        "medium": container.medium,
        "expires": round(kept.expires),
    }
    return json_response(told, status=201)


@router.post("/v2/{endpoint}/estimate", summary="How long a job will take")
async def tell_estimate(request: Request) -> Response:
    """Body as of `/run`. What is wrong with the input is said as the worker would say it."""
    server = server_of(request)
    server.limits.admit(caller_of(request), "other")
    with server.sandbox.scheduler.admit(caller_of(request)) as ticket:
        given = await read_body(request, max_bytes=server.config.max_run_bytes)
        if not isinstance(given, Mapping) or given.get("input") is None:
            raise InvalidRequest("field_missing", field="input")
        work = estimate(server, ticket, given["input"], owner=owner_of(request))
        return json_response(await cancel_on_disconnect(request, work))


@router.post("/faces", summary="Where the faces of a picture are")
async def faces(request: Request) -> Response:
    """Body: the picture, or JSON `{"image_path": "upload://ID"}`. Boxes are in its pixels.

    `?speakers=N` looks for small faces, too, until so many are found.
    """
    server = server_of(request)
    server.limits.admit(caller_of(request), "other")
    speakers = _number_of_speakers(request, limit=server.settings.max_speakers)
    with (
        server.sandbox.scheduler.admit(caller_of(request)) as ticket,
        server.sandbox.directory() as directory,
    ):
        path = await _picture(request, directory)
        work = ask_about_picture(
            server, ticket, "faces", path, directory=directory, speakers=speakers
        )
        return json_response(await cancel_on_disconnect(request, work))


async def _picture(request: Request, directory: Path) -> Path:
    """The picture that is asked about: an upload, or the body, which is kept in a directory."""
    server = server_of(request)
    if request.headers.get("content-type", "").startswith("application/json"):
        given = await read_body(request, max_bytes=server.config.max_run_bytes)
        source = given.get("image_path") if isinstance(given, Mapping) else None
        if not isinstance(source, str):
            raise InvalidRequest("expected_text", field="image_path", value=brief(source))
        return server.uploads.path(
            source, field="image_path", owner=owner_of(request), now=server.clock()
        )
    with SourceFile(directory, field="image_path", kind="image", settings=server.settings) as file:
        async for chunk in request.stream():
            file.write(chunk)
        return file.finish()


@router.get("/webhook-secret", summary="What this key's webhooks are signed with")
async def secret(request: Request) -> Response:
    """For the receiver of webhooks: see docs/self-hosting.md."""
    server = server_of(request)
    return json_response({"secret": webhook_secret(server.secret, owner_of(request))})


def _number_of_speakers(request: Request, *, limit: int) -> int:
    """How many people are going to speak, by the query; 1 if it does not say."""
    given = request.query_params.get("speakers", "1")
    if not (given.isascii() and given.isdigit() and len(given) < MAX_DIGITS):
        raise InvalidRequest("expected_integer", field="speakers", value=brief(given))
    if not 1 <= int(given) <= limit:
        key, bound = ("too_low", 1) if int(given) < 1 else ("too_high", limit)
        raise InvalidRequest(key, field="speakers", value=brief(given), limit=bound)
    return int(given)
