"""Media of jobs in a directory: a folder for each job, whole files or none."""

import asyncio
import math
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from multitalk.disk import DISK_FULL
from multitalk.errors import NotFound, QueueUnavailable
from multitalk.serving.queue.base import MediaStore
from multitalk.serving.queue.records import JOB_ID

CHUNK_BYTES = 2**20
SUFFIX = r"\.[A-Za-z0-9]{1,8}"
NAME = re.compile(JOB_ID.removesuffix("$") + r"/[0-9a-f]{32}" + SUFFIX + "$")
ONLY_OURS = 0o700  # of folders: videos of people


def new_name(job_id: str, suffix: str) -> str:
    """A name for a new file of a job.

    Raises:
        ValueError: The job's id or the suffix is of another form than ours.
    """
    name = f"{job_id}/{secrets.token_hex(16)}{suffix}"
    if not NAME.match(name):
        raise ValueError(f"no name of a file: {name}")
    return name


def checked(name: str) -> str:
    """A name that may be one of ours.

    Raises:
        NotFound: It cannot be.
    """
    if not NAME.match(name):
        raise NotFound("upload_unknown")
    return name


class DirectoryMedia(MediaStore):
    """A `MediaStore` in a directory, which is made when it is first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    @override
    def directory(self) -> Path:
        return self.root

    @override
    async def put(self, source: Path | bytes, *, job_id: str, suffix: str) -> str:
        name = new_name(job_id, suffix)
        try:
            await asyncio.to_thread(self._put, source, self.root / name)
        except OSError as error:
            raise translate_os_error(error) from error
        return name

    @override
    async def size(self, name: str) -> int:
        try:
            return (await asyncio.to_thread((self.root / checked(name)).stat)).st_size
        except FileNotFoundError as error:
            raise NotFound("upload_unknown") from error
        except OSError as error:
            raise translate_os_error(error) from error

    @override
    async def read(
        self, name: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        size = await self.size(name)
        position, end = start, size if end is None else min(end, size)
        try:
            with (self.root / name).open("rb") as file:
                file.seek(start)
                while position < end:
                    chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - position))
                    if not chunk:
                        return
                    position += len(chunk)
                    yield chunk
        except OSError as error:
            raise translate_os_error(error) from error

    async def remove_job(self, job_id: str) -> None:
        """As `MediaStore.remove_job`."""
        if re.match(JOB_ID, job_id):
            await asyncio.to_thread(shutil.rmtree, self.root / job_id, ignore_errors=True)

    async def jobs(self) -> set[str]:
        """Jobs that have files."""
        return set(await self.older_than(math.inf))

    async def job_bytes(self, job_id: str) -> int:
        """As `MediaStore.job_bytes`."""
        return await asyncio.to_thread(folder_bytes, self.root / job_id)

    async def older_than(self, moment: float) -> list[str]:
        """Jobs whose folder was last changed before a moment, seconds since 1970."""
        return await asyncio.to_thread(self._older_than, moment)

    def _older_than(self, moment: float) -> list[str]:
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as entries:
            return [entry.name for entry in entries if entry.stat().st_mtime < moment]

    def _put(self, source: Path | bytes, target: Path) -> None:
        for folder in (self.root, target.parent):
            folder.mkdir(mode=ONLY_OURS, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        try:
            if isinstance(source, bytes) or not _linked(source, partial):
                _copy(source, partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _sync(target.parent)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder; 0 where there is none."""
    total = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # removed meanwhile
                total += entry.stat().st_size
    return total


def _linked(source: Path, target: Path) -> bool:
    """Give a file a second name; False where the file system does not."""
    try:
        target.hardlink_to(source)
    except OSError:  # among them: it is on another disk
        return False
    return True


def _copy(source: Path | bytes, target: Path) -> None:
    with target.open("xb") as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            with source.open("rb") as given:
                shutil.copyfileobj(given, file, CHUNK_BYTES)


def translate_os_error(error: OSError) -> QueueUnavailable:
    """A disk's failure as ours; its message has no path."""
    if error.errno in DISK_FULL:
        return QueueUnavailable("queue_full")
    return QueueUnavailable("queue_failed", reason=os.strerror(error.errno or 0))


def _sync(folder: Path) -> None:
    """Make a new name in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
