"""Recordings of live sessions, as files."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from multitalk.serving.api.live.recorder import DIRECTORY, signed_name
from multitalk.serving.api.openapi import Responses, media, refusals
from multitalk.serving.api.services import services_of
from multitalk.serving.api.uploads import UPLOAD_PREFIX

MEDIA_TYPE = "video/mp4"
KEPT = "private, max-age=3600"  # by the browser; the URL is valid for longer

VIDEO: Responses = media(MEDIA_TYPE, description="The recording")
PARTS: Responses = {
    206: VIDEO[200] | {"description": "A part of it"},
    416: {"description": "No such part"},
}

router = APIRouter(prefix=f"/{DIRECTORY}", tags=["Live"], default_response_class=Response)


@router.get(
    "/{recording_id}.mp4",
    summary="A recording of a live session",
    responses=refusals(404) | VIDEO | PARTS,
)
async def recording(
    request: Request,
    *,
    recording_id: Annotated[str, Path(description="from a message `recording`")],
    signature: Annotated[
        str | None, Query(description="of a signed URL, in place of a key")
    ] = None,
    expires: Annotated[str, Query(description="of a signed URL")] = "",
    download: Annotated[str | None, Query(description="`1`: the file is for saving")] = None,
) -> Response:
    """Signed URLs, as in the session's messages, need no key. Kept as long as an upload is."""
    services = services_of(request)
    owner: str | None = request.state.owner
    if signature is not None or owner is None:
        name = signed_name(recording_id)
        services.url_signer.check(name, expires, signature or "", now=services.clock())
        request.state.has_signature = True
        owner = None
    source = UPLOAD_PREFIX + recording_id
    path = services.uploads.path(source, field="recording_id", owner=owner)
    return FileResponse(
        path,
        media_type=MEDIA_TYPE,
        filename=f"live-{recording_id[:8]}.mp4",
        content_disposition_type="attachment" if download == "1" else "inline",
        headers={"Cache-Control": KEPT, "X-Content-Type-Options": "nosniff"},
    )
