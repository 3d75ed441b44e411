"""Files that a client sends ahead of its job: streamed to the disk, removed after a day.

An upload is `upload://ID` in a request. It belongs to the key that it came with. When a job is
sent, its uploads are hard-linked or copied into the queue's media store for its worker.
"""

import asyncio
import re
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from multitalk.disk import server_disk_error
from multitalk.errors import InvalidRequest, LimitExceeded, NotFound, QueueUnavailable
from multitalk.inputs.sniff import SNIFFED_BYTES, Container, sniff
from multitalk.schema.sources import UPLOAD_SCHEME, is_upload, map_sources, named_sources
from multitalk.serving.api.database import Database, Upload
from multitalk.serving.queue import MediaStore

UPLOAD_PREFIX = f"{UPLOAD_SCHEME}//"  # of an uploaded file's id
_ID = re.compile("[0-9a-f]{32}")


class UploadStore:
    """The uploaded files.

    Args:
        directory: Of the files; made if it does not exist.
        database: Records them.
        seconds: How long they are kept.
        max_bytes: Of one file.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        directory: Path,
        database: Database,
        *,
        seconds: float,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._database = database
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._clock = clock
        for path in directory.iterdir():  # of a killed server
            if database.upload(path.stem) is None:
                path.unlink()

    async def receive(
        self,
        chunks: AsyncIterator[bytes],
        *,
        announced: int | None,
        owner: str,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> tuple[Upload, Container, int]:
        """Receive a file.

        Args:
            chunks: Its content.
            announced: Its length, if known.
            owner: Id of the caller's key.
            on_bytes: Called with the length of each chunk; an exception ends the upload.

        Returns:
            The upload, its format, its size in bytes.

        Raises:
            LimitExceeded: The file is too large.
            InvalidRequest: The file is empty, or of unknown format.
            DiskUnusable: The disk is full or has failed.
        """
        self._check(announced or 0)
        try:
            return await self._receive(chunks, owner=owner, on_bytes=on_bytes)
        except OSError as error:
            raise server_disk_error(error) from error

    async def _receive(
        self,
        chunks: AsyncIterator[bytes],
        *,
        owner: str,
        on_bytes: Callable[[int], None],
    ) -> tuple[Upload, Container, int]:
        with tempfile.NamedTemporaryFile(dir=self.directory, prefix=".part-") as partial:
            head, size = b"", 0
            container: Container | None = None
            async for chunk in chunks:
                size += len(chunk)
                self._check(size)
                on_bytes(len(chunk))
                if container is None:
                    head += chunk[: SNIFFED_BYTES - len(head)]
                    if len(head) == SNIFFED_BYTES:  # refused before the rest is received
                        container = _format_of(head)
                await asyncio.to_thread(partial.write, chunk)
            if not size:
                raise InvalidRequest("source_empty")
            container = container or _format_of(head)
            await asyncio.to_thread(partial.flush)
            upload_id = new_upload_id()
            name = upload_id + container.suffix
            (self.directory / name).hardlink_to(partial.name)
        upload = Upload(upload_id, owner, name, self._clock() + self._seconds)
        self._note(upload)
        return upload, container, size

    def keep(self, path: Path, *, upload_id: str, owner: str) -> Upload:
        """Take over a file that this server has made, in this store's directory.

        Args:
            path: The file, which is renamed.
            upload_id: From `new_upload_id`.
            owner: Id of the key.

        Raises:
            QueueUnavailable: It could not be noted; the file is removed.
        """
        upload = Upload(upload_id, owner, upload_id + path.suffix, self._clock() + self._seconds)
        path.replace(self.directory / upload.file)
        self._note(upload)
        return upload

    def _note(self, upload: Upload) -> None:
        try:
            self._database.add_upload(upload)
        except QueueUnavailable:
            (self.directory / upload.file).unlink(missing_ok=True)
            raise

    def path(self, source: str, *, field: str, owner: str | None) -> Path:
        """The file of a source `upload://ID`; of anybody's if `owner` is None.

        Raises:
            NotFound: The owner has no such upload.
        """
        name = source.strip().removeprefix(UPLOAD_PREFIX)
        upload = self._database.upload(name) if _ID.fullmatch(name) else None
        if upload is None or owner not in (None, upload.owner) or upload.expires <= self._clock():
            raise NotFound("upload_not_found", field=field)
        return self.directory / upload.file

    async def resolved(self, given: Any, *, job_id: str, owner: str, media: MediaStore) -> Any:
        """A job's input whose uploads are files of the job in the media store.

        Raises:
            NotFound: The owner has no such upload.
        """
        if not isinstance(given, Mapping):
            return given
        names: dict[str, str] = {}
        for field, source in named_sources(given):
            if is_upload(source):
                path = self.path(source, field=field, owner=owner)
                name = await media.put(path, job_id=job_id, suffix=path.suffix)
                names[field] = UPLOAD_SCHEME + name
        return map_sources(given, names.get) if names else given

    def stored(self, owner: str) -> int:
        """Bytes of an owner's uploads."""
        total = 0
        for upload in self._database.uploads_of(owner):
            with suppress(FileNotFoundError):  # removed meanwhile
                total += (self.directory / upload.file).stat().st_size
        return total

    def sweep(self) -> None:
        """Remove expired uploads."""
        for upload in self._database.expired_uploads(self._clock()):
            (self.directory / upload.file).unlink(missing_ok=True)
            self._database.forget_upload(upload.id)

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise LimitExceeded("upload_too_large", limit=self._max_bytes / 2**20)


def new_upload_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_hex(16)


def _format_of(head: bytes) -> Container:
    container = sniff(head)
    if container is None:
        raise InvalidRequest("source_unrecognised")
    return container
