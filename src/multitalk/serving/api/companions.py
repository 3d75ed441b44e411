"""What goes with a video: its subtitles, and a small picture of it for lists."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import NotFound, RequestError
from multitalk.serving.api.filenames import disposition
from multitalk.serving.api.reading import ask_about_picture, while_connected
from multitalk.serving.api.replies import frame_of, read_whole
from multitalk.serving.api.server import Server, server_of
from multitalk.serving.api.videos import linked_job
from multitalk.serving.queue import Job
from multitalk.serving.reader.made import SMALL_PICTURE, taken
from multitalk.speech.captions import as_srt, as_vtt, read_captions

SUBTITLES = {".vtt": ("text/vtt", as_vtt), ".srt": ("application/x-subrip", as_srt)}
KEPT = "private, max-age=3600"  # by the browser; the address is good for longer

router = APIRouter(prefix="/videos")


@router.get("/{job_id}.vtt", summary="A talk's subtitles as WebVTT")
async def vtt(request: Request, job_id: str) -> Response:
    """Of the voices that were given as texts; 404 where all were recordings."""
    return await _subtitles(request, job_id, ".vtt")


@router.get("/{job_id}.srt", summary="A talk's subtitles as SubRip")
async def srt(request: Request, job_id: str) -> Response:
    """As `.vtt`, for players and editors. `?download=1` is for saving them."""
    return await _subtitles(request, job_id, ".srt")


@router.get("/{job_id}.jpg", summary="A small picture of a talk")
async def picture(request: Request, job_id: str) -> Response:
    """The video's first frame; the portrait until there is one."""
    server = server_of(request)
    job = await linked_job(request, server, job_id)
    name = frame_of(job)
    if name is None:
        content = await _small_portrait(request, server, job)
    else:
        content = await read_whole(server.queue.media, name)
    headers = {"Cache-Control": KEPT, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="image/jpeg", headers=headers)


async def _subtitles(request: Request, job_id: str, suffix: str) -> Response:
    server = server_of(request)
    job = await linked_job(request, server, job_id)
    name = job.output.get("captions") if isinstance(job.output, dict) else None
    if name is None:
        raise NotFound("subtitles_not_found")
    media_type, written = SUBTITLES[suffix]
    captions = read_captions(await read_whole(server.queue.media, name))
    headers = {
        "Cache-Control": KEPT,
        "Content-Disposition": disposition(request, job, suffix),
        "X-Content-Type-Options": "nosniff",
    }
    return Response(written(captions), media_type=f"{media_type}; charset=utf-8", headers=headers)


async def _small_portrait(request: Request, server: Server, job: Job) -> bytes:
    """The picture that a job was sent with, small.

    Raises:
        NotFound: It came otherwise than as an upload, or is no picture.
    """
    if job.portrait is None:
        raise NotFound("video_not_found")
    own = f"{job.id}/{job.portrait.rpartition('/')[2]}"  # another job's is not looked at
    media, limit = server.queue.media, server.settings.max_image_bytes
    with (
        server.readers.turns.wait_last(job.owner) as turn,
        server.readers.directory() as directory,
    ):
        # One of each owner's at a time is copied, for a list of talks asks for many at once.
        async with server.small_pictures.place(turn):
            if await media.size(own) > limit:
                raise NotFound("video_not_found")
            given = directory / "portrait"
            await asyncio.to_thread(given.write_bytes, await read_whole(media, own))
            work = ask_about_picture(server, turn, "small_picture", given, directory=directory)
            try:
                await while_connected(request, work)
            except RequestError as error:
                raise NotFound("video_not_found") from error
            return await asyncio.to_thread(taken, directory, SMALL_PICTURE)
