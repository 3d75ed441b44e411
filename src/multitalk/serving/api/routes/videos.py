"""Videos as files, finished or while they are made; their subtitles and pictures."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from multitalk.errors import MultiTalkError, NotFound, ServerStopping
from multitalk.schema import JobStatus
from multitalk.serving.api.dependencies import (
    AuthorizedJob,
    ClientMediaDep,
    QueueDep,
    ShutdownDep,
    cancel_on_disconnect,
)
from multitalk.serving.api.jobs.job_access import wait_for_change
from multitalk.serving.api.jobs.job_replies import frame_of, read_whole
from multitalk.serving.api.openapi import media, refusals
from multitalk.serving.api.transport.uvicorn_server import ResponseAborted, ShutdownState
from multitalk.serving.queue import FragmentRecord, Job, JobQueue
from multitalk.speech.captions import as_srt, as_vtt, read_captions

MEDIA_TYPE = "video/mp4"
WAIT_SECONDS = 1.0  # between checks for new fragments; a change ends it sooner
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")  # no file has more bytes

SUBTITLES = {".vtt": ("text/vtt", as_vtt), ".srt": ("application/x-subrip", as_srt)}
KEPT = "private, max-age=3600"  # by the browser; the URL is valid for longer

MAX_CHARACTERS = 60
# Not allowed in a file's name by Windows, macOS or a shell.
_REFUSED = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')

VIDEO = media(MEDIA_TYPE, description="The video")
VIDEO_RESPONSES = VIDEO | {
    206: VIDEO[200] | {"description": "A part of it"},
    304: {"description": "Not changed"},
    416: {"description": "No such part"},
}
Download = Annotated[str | None, Query(description="`1`: the file is for saving")]

router = APIRouter(prefix="/videos", tags=["Videos"], default_response_class=Response)


@router.head(
    "/{job_id}.mp4",
    summary="The same as GET, without the video",
    responses=refusals(404) | VIDEO_RESPONSES,
)
@router.get("/{job_id}.mp4", summary="A finished video", responses=refusals(404) | VIDEO_RESPONSES)
async def video(
    request: Request,
    *,
    queue: QueueDep,
    job: AuthorizedJob,
    byte_range: Annotated[str, Header(alias="Range")] = "",
    if_range: Annotated[str | None, Header(alias="If-Range")] = None,
    if_none_match: Annotated[str, Header(alias="If-None-Match")] = "",
    download: Download = None,
) -> Response:
    """A signed URL, as in `video_url`, needs no key."""
    name = _file_of(job, "video")
    size = await queue.media.size(name)
    etag = f'"{name.rpartition("/")[2].partition(".")[0]}"'
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": KEPT,
        "Content-Disposition": content_disposition(job, ".mp4", download),
        "Content-Type": MEDIA_TYPE,
        "ETag": etag,
        "X-Content-Type-Options": "nosniff",
    }
    if etag in if_none_match:
        return Response(status_code=304, headers=headers)
    whole = if_range is not None and if_range != etag
    part = _parse_range("" if whole else byte_range, size)
    if part is None:
        headers["Content-Range"] = f"bytes */{size}"
        return Response(status_code=416, headers=headers)
    status = 206 if part.is_range else 200
    headers |= part.headers(size)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    content = queue.media.read(name, start=part.start, end=part.end)
    return StreamingResponse(_cut_at_errors(content), status_code=status, headers=headers)


@router.get(
    "/{job_id}/live.mp4",
    summary="A video while it is made: a fragmented MP4",
    responses={
        **refusals(404),
        **VIDEO,
        204: {"description": "The job ended without a video"},
    },
)
async def live(queue: QueueDep, shutdown: ShutdownDep, job: AuthorizedJob) -> Response:
    """The answer begins with the first fragment and ends with the last; its type names the codecs.

    It is empty (204) where the job ended without a video.
    """
    fragments = await _new_fragments(queue, shutdown, job, after=0)
    if not fragments:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    first = await read_whole(queue.media, fragments[0].output["video"])
    return StreamingResponse(
        _cut_at_errors(_live(queue, shutdown, job.id, fragments)),
        media_type=f'{MEDIA_TYPE}; codecs="{_codecs(first)}"',
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


@router.get(
    "/{job_id}.vtt",
    summary="A talk's subtitles as WebVTT",
    responses=refusals(404) | media("text/vtt"),
)
async def vtt(queue: QueueDep, job: AuthorizedJob, download: Download = None) -> Response:
    """Of the voices that were given as texts; 404 where all were recordings."""
    return await _subtitles(queue, job, ".vtt", download)


@router.get(
    "/{job_id}.srt",
    summary="A talk's subtitles as SubRip",
    responses=refusals(404) | media("application/x-subrip"),
)
async def srt(queue: QueueDep, job: AuthorizedJob, download: Download = None) -> Response:
    """As `.vtt`, for players and editors."""
    return await _subtitles(queue, job, ".srt", download)


@router.get(
    "/{job_id}.jpg",
    summary="A small picture of a talk",
    responses=refusals(404) | media("image/jpeg"),
)
async def picture(
    request: Request, queue: QueueDep, client_media: ClientMediaDep, job: AuthorizedJob
) -> Response:
    """The video's first frame; the portrait until there is one."""
    name = frame_of(job)
    if name is None:
        work = client_media.portrait_thumbnail(job, queue.media)
        content = await cancel_on_disconnect(request, work)
    else:
        content = await read_whole(queue.media, name)
    headers = {"Cache-Control": KEPT, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="image/jpeg", headers=headers)


@dataclass(frozen=True)
class _ByteRange:
    """Bytes `start` to `end`, exclusive, of a file."""

    start: int
    end: int
    is_range: bool

    def headers(self, size: int) -> dict[str, str]:
        """The headers of a response with this part of a file of so many bytes."""
        headers = {"Content-Length": str(self.end - self.start)}
        if self.is_range:
            headers["Content-Range"] = f"bytes {self.start}-{self.end - 1}/{size}"
        return headers


def _parse_range(byte_range: str, size: int) -> _ByteRange | None:
    """The part that a `Range` header names; None where there is no such part (RFC 9110, 14.2).

    Several ranges at once are answered with the whole, as the RFC allows.
    """
    whole = _ByteRange(0, size, False)
    found = _RANGE.fullmatch(byte_range.strip())
    if found is None or found[0] == "bytes=-":
        return whole
    first, last = found[1], found[2]
    if not first:  # the last so many bytes
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return whole
    return _ByteRange(start, end, True) if start < end else None


async def _new_fragments(
    queue: JobQueue, shutdown: ShutdownState, job: Job, *, after: int
) -> list[FragmentRecord]:
    """Fragments above a number, once there are any; none where the job ends without.

    A final job's fragments are all there: it is looked at before them.

    Raises:
        ServerStopping: The server ends before there are any.
    """
    while True:
        fragments = await queue.fragments(job.id, after=after)
        if fragments or job.is_final:
            return fragments
        if shutdown.requested.is_set():
            raise ServerStopping("server_stopping")
        job = await wait_for_change(queue, shutdown, job, seconds=WAIT_SECONDS)


async def _live(
    queue: JobQueue, shutdown: ShutdownState, job_id: str, fragments: list[FragmentRecord]
) -> AsyncIterator[bytes]:
    """The fragments' bytes, these first, until the job has ended."""
    segment = 0
    while fragments:
        for fragment in fragments:
            if fragment.output["segment"] != segment:
                raise ResponseAborted("another attempt at the job began")
            async for chunk in queue.media.read(fragment.output["video"]):
                yield chunk
            segment += 1
        job = await queue.get(job_id)
        fragments = await _new_fragments(queue, shutdown, job, after=fragments[-1].number)
    if (await queue.get(job_id)).status is not JobStatus.COMPLETED:
        raise ResponseAborted("the job did not complete")


async def _cut_at_errors(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes; an error cuts the connection, because the response has begun."""
    try:
        async for chunk in content:
            yield chunk
    except MultiTalkError as error:
        raise ResponseAborted(str(error)) from error


def _codecs(start: bytes) -> str:
    """The codecs of an MP4 that begins so, as MediaSource wants them (RFC 6381)."""
    box = start.find(b"avcC")  # configuration of H.264: version, profile, compatibility, level
    picture = "avc1." + start[box + 5 : box + 8].hex() if box >= 0 else ""
    sound = "mp4a.40.2" if b"mp4a" in start else ""
    return ", ".join(codec for codec in (picture, sound) if codec)


async def _subtitles(queue: JobQueue, job: Job, suffix: str, download: str | None) -> Response:
    name = _file_of(job, "captions")
    media_type, written = SUBTITLES[suffix]
    captions = read_captions(await read_whole(queue.media, name))
    headers = {
        "Cache-Control": KEPT,
        "Content-Disposition": content_disposition(job, suffix, download),
        "X-Content-Type-Options": "nosniff",
    }
    return Response(written(captions), media_type=f"{media_type}; charset=utf-8", headers=headers)


def _file_of(job: Job, kind: Literal["video", "captions"]) -> str:
    """Name in the media store of a file of a job's output."""
    name: str | None = job.output.get(kind) if isinstance(job.output, dict) else None
    if name is None:
        raise NotFound("video_not_found" if kind == "video" else "subtitles_not_found")
    return name


def content_disposition(job: Job, suffix: str, download: str | None) -> str:
    """A `Content-Disposition` (RFC 6266): to be shown, or saved if `download` is 1."""
    manner = "attachment" if download == "1" else "inline"
    plain, named = f"talk-{job.id[:8]}{suffix}", filename(job, suffix)
    extended = "" if named == plain else f"; filename*=UTF-8''{quote(named, safe='')}"
    return f'{manner}; filename="{plain}"{extended}'


def filename(job: Job, suffix: str) -> str:
    """Its first words, or its id where none are known."""
    words = " ".join(_REFUSED.sub(" ", job.title).split())
    if len(words) > MAX_CHARACTERS:
        short = words[:MAX_CHARACTERS]
        words = short.rpartition(" ")[0] or short
    words = words.strip(" .")
    return (words or f"talk-{job.id[:8]}") + suffix
