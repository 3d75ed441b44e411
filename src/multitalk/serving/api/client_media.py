"""Clients' files, opened in sandboxed processes: faces, thumbnails, where a video comes from."""

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from multitalk.errors import NotFound, RequestError
from multitalk.messages import Locale
from multitalk.serving.api.jobs.job_replies import read_whole
from multitalk.serving.queue import Job, MediaStore
from multitalk.serving.sandbox.fair_scheduler import FairScheduler, Ticket
from multitalk.serving.sandbox.ipc import THUMBNAIL_FILE, read_output
from multitalk.serving.sandbox.pool import INSPECTION_CPU_SECONDS, SandboxPool, limits_for
from multitalk.settings import Settings

SMALL_PICTURES_AT_ONCE = 4


class ClientMedia:
    """Measures clients' pictures and videos.

    Args:
        sandbox: Its processes open the files.
        settings: Their limits.
    """

    def __init__(self, sandbox: SandboxPool, settings: Settings) -> None:
        self._sandbox = sandbox
        self._settings = settings
        self._thumbnail_slots = FairScheduler(slots=SMALL_PICTURES_AT_ONCE)

    def admit(self, caller: str) -> AbstractContextManager[Ticket]:
        """A place in the queue of tasks while the context is open.

        Raises:
            TooManyRequests: Too many tasks of this caller wait.
        """
        return self._sandbox.scheduler.admit(caller)

    def directory(self) -> AbstractContextManager[Path]:
        """A temporary directory for a task's files."""
        return self._sandbox.directory()

    def warm(self) -> None:
        """Load the libraries for a task that comes next."""
        self._sandbox.warm()

    async def faces(self, ticket: Ticket, path: Path, directory: Path, *, speakers: int) -> Any:
        """The body of `/faces` for a picture's file."""
        return await self._of_picture(ticket, "faces", path, directory, speakers=speakers)

    async def inspection(
        self, ticket: Ticket, path: Path, directory: Path, *, locale: Locale
    ) -> Any:
        """The body of `/v1/inspect` for a file of any medium."""
        return await self._sandbox.run(
            ticket,
            "inspection",
            {"path": str(path), "field": "video", "locale": locale},
            limits=limits_for(self._settings, INSPECTION_CPU_SECONDS),
            directory=directory,
            field="video",
            readable=[path],
        )

    async def portrait_thumbnail(self, job: Job, media: MediaStore) -> bytes:
        """The picture that a job was sent with, small, as JPEG.

        Raises:
            NotFound: It came otherwise than as an upload, or is no picture.
        """
        if job.portrait is None:
            raise NotFound("video_not_found")
        own = f"{job.id}/{job.portrait.rpartition('/')[2]}"  # not another job's file
        with (
            self._sandbox.scheduler.admit_low_priority(job.owner) as ticket,
            self._sandbox.directory() as directory,
        ):
            # One copy for each owner at a time, because a list of talks requests many at once.
            async with self._thumbnail_slots.slot(ticket):
                if await media.size(own) > self._settings.max_image_bytes:
                    raise NotFound("video_not_found")
                path = directory / "portrait"
                await asyncio.to_thread(path.write_bytes, await read_whole(media, own))
                try:
                    await self._of_picture(ticket, "small_picture", path, directory)
                except RequestError as error:
                    raise NotFound("video_not_found") from error
                return await asyncio.to_thread(read_output, directory, THUMBNAIL_FILE)

    async def _of_picture(
        self, ticket: Ticket, task: str, path: Path, directory: Path, *, speakers: int = 1
    ) -> Any:
        """The result of a task of `sandbox.media_tasks` on a picture's file."""
        field, max_pixels = "image_path", self._settings.max_image_pixels
        return await self._sandbox.run(
            ticket,
            task,
            {"path": str(path), "field": field, "max_pixels": max_pixels, "speakers": speakers},
            limits=limits_for(self._settings),
            directory=directory,
            field=field,
            readable=[path],
        )
