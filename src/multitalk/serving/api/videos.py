"""Videos as files: finished, with ranges; and live, as they are made."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from multitalk.errors import MultiTalkError, NotFound, ServerStopping
from multitalk.schema import JobStatus
from multitalk.serving.api.ending import StreamBroken
from multitalk.serving.api.filenames import disposition
from multitalk.serving.api.replies import read_whole
from multitalk.serving.api.server import Server, server_of
from multitalk.serving.queue import Job, PieceRecord

MEDIA_TYPE = "video/mp4"
WAIT_SECONDS = 1.0  # for one look at what is new; a change ends it sooner
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")  # no file has more bytes

router = APIRouter(prefix="/videos")


@router.head("/{job_id}.mp4", summary="The same as GET, without the video")
@router.get("/{job_id}.mp4", summary="A finished video")
async def video(request: Request, job_id: str) -> Response:
    """A signed address, as in `video_url`, needs no key. `?download=1` is for saving it."""
    server = server_of(request)
    job = await linked_job(request, server, job_id)
    name = job.output.get("video") if isinstance(job.output, dict) else None
    if name is None:
        raise NotFound("video_not_found")
    size = await server.queue.media.size(name)
    etag = f'"{name.rpartition("/")[2].partition(".")[0]}"'
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": disposition(request, job, ".mp4"),
        "Content-Type": MEDIA_TYPE,
        "ETag": etag,
        "X-Content-Type-Options": "nosniff",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    part = _wanted_part(request, size, etag)
    if part is None:
        headers["Content-Range"] = f"bytes */{size}"
        return Response(status_code=416, headers=headers)
    headers["Content-Length"] = str(part.end - part.start)
    if part.is_range:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    status = 206 if part.is_range else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    content = server.queue.media.read(name, start=part.start, end=part.end)
    return StreamingResponse(_cut_at_errors(content), status_code=status, headers=headers)


@router.get("/{job_id}/live.mp4", summary="A video while it is made: a fragmented MP4")
async def live(request: Request, job_id: str) -> Response:
    """The answer begins with the first piece and ends with the last; its type names the codecs.

    It is empty (204) where the job ended without a video.
    """
    server = server_of(request)
    job = await linked_job(request, server, job_id)
    pieces = await _new_pieces(server, job, after=0)
    if not pieces:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    first = await read_whole(server.queue.media, pieces[0].output["video"])
    return StreamingResponse(
        _cut_at_errors(_live(server, job_id, pieces)),
        media_type=f'{MEDIA_TYPE}; codecs="{_codecs(first)}"',
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


@dataclass(frozen=True)
class _Part:
    """Bytes `start` to `end`, exclusive, of a file."""

    start: int
    end: int
    is_range: bool


async def linked_job(request: Request, server: Server, job_id: str) -> Job:
    """The job whose video may be had: by its owner's key, or by a signed address."""
    query = request.query_params
    if "signature" in query:
        server.links.check(job_id, query.get("expires", ""), query["signature"], now=server.clock())
        request.state.has_signature = True  # so the connection is no stranger's
        return await server.queue.get(job_id)
    owner: str | None = request.state.owner
    if owner is None:
        server.links.check(job_id, "", "", now=server.clock())
    return await server.own_job(job_id, owner or "")


def _wanted_part(request: Request, size: int, etag: str) -> _Part | None:
    """What a `Range` header asks for; None where there is no such part (RFC 9110, 14.2).

    Several ranges at once are answered with the whole, as the RFC allows.
    """
    whole = _Part(0, size, False)
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if asked is None or request.headers.get("if-range", etag) != etag or asked[0] == "bytes=-":
        return whole
    first, last = asked[1], asked[2]
    if not first:  # the last so many bytes
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return whole
    return _Part(start, end, True) if start < end else None


async def _new_pieces(server: Server, job: Job, *, after: int) -> list[PieceRecord]:
    """Pieces above a number, once there are any; none where the job ends without.

    A final job's pieces are all there: it is looked at before them.

    Raises:
        ServerStopping: The server ends before there are any.
    """
    while True:
        pieces = await server.queue.pieces(job.id, after=after)
        if pieces or job.is_final:
            return pieces
        if server.ending.begun.is_set():
            raise ServerStopping("server_stopping")
        job = await server.wait_for_change(job, seconds=WAIT_SECONDS)


async def _live(server: Server, job_id: str, pieces: list[PieceRecord]) -> AsyncIterator[bytes]:
    """The pieces' bytes, these first, until the job has ended."""
    segment = 0
    while pieces:
        for piece in pieces:
            if piece.output["segment"] != segment:
                raise StreamBroken("another attempt at the job began")
            async for chunk in server.queue.media.read(piece.output["video"]):
                yield chunk
            segment += 1
        job = await server.queue.get(job_id)
        pieces = await _new_pieces(server, job, after=pieces[-1].number)
    if (await server.queue.get(job_id)).status is not JobStatus.COMPLETED:
        raise StreamBroken("the job did not complete")


async def _cut_at_errors(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes; an error among them can only be told by cutting the connection."""
    try:
        async for chunk in content:
            yield chunk
    except MultiTalkError as error:
        raise StreamBroken(str(error)) from error


def _codecs(start: bytes) -> str:
    """The codecs of an MP4 that begins so, as MediaSource wants them (RFC 6381)."""
    box = start.find(b"avcC")  # configuration of H.264: version, profile, compatibility, level
    picture = "avc1." + start[box + 5 : box + 8].hex() if box >= 0 else ""
    sound = "mp4a.40.2" if b"mp4a" in start else ""
    return ", ".join(codec for codec in (picture, sound) if codec)
