"""Files of jobs: the store's interface, and files in a directory with a folder per job."""

import asyncio
import math
import os
import re
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from multitalk.disk import DISK_FULL
from multitalk.errors import NotFound, QueueUnavailable
from multitalk.serving.queue.records import JOB_ID

CHUNK_BYTES = 2**20
SUFFIX = r"\.[A-Za-z0-9]{1,8}"
NAME = re.compile(JOB_ID.removesuffix("$") + r"/[0-9a-f]{32}" + SUFFIX + "$")
DIRECTORY_MODE = 0o700  # videos of people


def new_name(job_id: str, suffix: str) -> str:
    """A new name for a file of a job; ValueError for an invalid id or suffix."""
    name = f"{job_id}/{secrets.token_hex(16)}{suffix}"
    if not NAME.match(name):
        raise ValueError(f"not a file name: {name}")
    return name


def check_name(name: str) -> str:
    """The name, if it has the form of a file's name; else NotFound."""
    if not NAME.match(name):
        raise NotFound("upload_unknown")
    return name


class MediaStore(ABC):
    """Files of jobs: videos, their fragments, and uploads. They are removed with the job.

    The store chooses names, `JOB_ID/TOKEN.SUFFIX`; a name of any other form is unknown. Methods
    raise QueueUnavailable where the store is full or cannot be reached.
    """

    @property
    @abstractmethod
    def directory(self) -> Path | None:
        """The directory of the files, which may not exist yet; None: on another machine."""

    async def put(self, source: Path | bytes, *, job_id: str, suffix: str) -> str:
        """Store a file under a new name; nothing is left of a call that is cancelled.

        Args:
            source: The bytes, or a file, which stays in place and must not be changed afterwards.
            job_id: The job that owns the file.
            suffix: Letters and digits after a dot, such as `.mp4`.

        Returns:
            The name.
        """
        name = new_name(job_id, suffix)
        storing = asyncio.ensure_future(self._store_file(source, name))
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            with suppress(QueueUnavailable):  # else it is removed with the job
                await storing  # its thread cannot be cancelled
                await self._remove_file(name)
            raise
        return name

    @abstractmethod
    async def _store_file(self, source: Path | bytes, name: str) -> None:
        """Store a file under a name."""

    @abstractmethod
    async def _remove_file(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    async def size(self, name: str) -> int:
        """Size of a file in bytes.

        Raises:
            NotFound: There is no such file.
        """

    @abstractmethod
    def read(self, name: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive; None: the file's end), in chunks of up to 1 MiB.

        Raises:
            NotFound: There is no such file; raised at the first chunk.
        """

    async def fetch(self, name: str, target: Path) -> None:
        """Bring a file to a new path, as a hard link if possible; it must not be changed.

        Raises:
            NotFound: There is no such file.
        """
        try:
            with target.open("xb") as file:
                async for chunk in self.read(name):
                    await asyncio.to_thread(file.write, chunk)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    @abstractmethod
    async def job_bytes(self, job_id: str) -> int:
        """Total size of a job's files; 0 where it has none."""

    @abstractmethod
    async def remove_job(self, job_id: str) -> None:
        """Remove all files of a job."""


class DirectoryMedia(MediaStore):
    """Files in a directory, which is made at the first `put`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    @override
    def directory(self) -> Path:
        return self.root

    @override
    async def _store_file(self, source: Path | bytes, name: str) -> None:
        try:
            await asyncio.to_thread(self._put, source, self.root / name)
        except OSError as error:
            raise translate_os_error(error) from error

    @override
    async def _remove_file(self, name: str) -> None:
        try:
            await asyncio.to_thread((self.root / name).unlink, missing_ok=True)
        except OSError as error:
            raise translate_os_error(error) from error

    @override
    async def size(self, name: str) -> int:
        try:
            return (await asyncio.to_thread((self.root / check_name(name)).stat)).st_size
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

    @override
    async def fetch(self, name: str, target: Path) -> None:
        if not await asyncio.to_thread(_link, self.root / check_name(name), target):
            await super().fetch(name, target)

    @override
    async def remove_job(self, job_id: str) -> None:
        if re.match(JOB_ID, job_id):
            await asyncio.to_thread(shutil.rmtree, self.root / job_id, ignore_errors=True)

    async def jobs(self) -> set[str]:
        """Ids of jobs with files."""
        return set(await self.older_than(math.inf))

    @override
    async def job_bytes(self, job_id: str) -> int:
        return await asyncio.to_thread(folder_bytes, self.root / job_id)

    async def older_than(self, moment: float) -> list[str]:
        """Ids of jobs whose folder was last changed before a moment, seconds since 1970."""
        return await asyncio.to_thread(self._older_than, moment)

    def _older_than(self, moment: float) -> list[str]:
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as entries:
            return [entry.name for entry in entries if entry.stat().st_mtime < moment]

    def _put(self, source: Path | bytes, target: Path) -> None:
        for folder in (self.root, target.parent):
            folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        try:
            if isinstance(source, bytes) or not _link(source, partial):
                _copy(source, partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _sync(target.parent)


def folder_bytes(folder: Path) -> int:
    """Total size of the files in a folder; 0 where there is none."""
    total = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # deleted meanwhile
                total += entry.stat().st_size
    return total


def _link(source: Path, target: Path) -> bool:
    """Hard-link a file; False where the file system cannot."""
    try:
        target.hardlink_to(source)
    except OSError:  # it may be on another disk
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
    """QueueUnavailable for a disk's error; its message has no path."""
    if error.errno in DISK_FULL:
        return QueueUnavailable("queue_full")
    return QueueUnavailable("queue_failed", reason=os.strerror(error.errno or 0))


def _sync(folder: Path) -> None:
    """Sync a folder, so that a new name in it is durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
