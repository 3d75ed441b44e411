"""Media of jobs in a NATS object store, within reach of every machine."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from nats.js.errors import NotFoundError
from typing_extensions import override

from multitalk.errors import NotFound
from multitalk.serving.queue.base import MediaStore
from multitalk.serving.queue.jetstream_connection import ANSWER_SECONDS, Store, translate_errors
from multitalk.serving.queue.media import checked, new_name


class JetStreamMedia(MediaStore):
    """A `MediaStore` on a NATS server.

    A file's name is noted before the file is stored, so that nothing is stored that could not be
    found again when its job is forgotten.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    @override
    def directory(self) -> None:
        return None

    @override
    async def put(self, source: Path | bytes, *, job_id: str, suffix: str) -> str:
        name = new_name(job_id, suffix)
        with translate_errors():
            await self._store.files.put(name.replace("/", "."), b"")
            if isinstance(source, bytes):
                await self._store.media.put(name, source)
            else:
                with source.open("rb") as file:
                    await self._store.media.put(name, file)
        return name

    @override
    async def size(self, name: str) -> int:
        size, _ = await self._found(name)
        return size

    @override
    async def read(
        self, name: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        # what lies before `start` is read, too
        size, chunks = await self._found(name)
        end = size if end is None else min(end, size)
        if start >= end:
            return
        with translate_errors():
            subscription = await self._store.stream.subscribe(
                f"$O.multitalk-media.C.{chunks}", ordered_consumer=True
            )
            try:
                position = 0
                while position < end:
                    message = await subscription.next_msg(timeout=ANSWER_SECONDS)
                    wanted = message.data[max(0, start - position) : end - position]
                    position += len(message.data)
                    if wanted:
                        yield wanted
            finally:
                await subscription.unsubscribe()

    async def job_bytes(self, job_id: str) -> int:
        """As `MediaStore.job_bytes`."""
        total = 0
        with translate_errors():
            for name in await self._names(job_id):
                with suppress(NotFoundError):
                    total += (await self._store.media.get_info(name)).size or 0
        return total

    async def remove_job(self, job_id: str) -> None:
        """As `MediaStore.remove_job`."""
        with translate_errors():
            for name in await self._names(job_id):
                await self._remove(name)
            await self._store.forget("files", f"{job_id}.>")

    async def _names(self, job_id: str) -> list[str]:
        info = await self._store.stream.stream_info(
            "KV_multitalk-files", subjects_filter=f"$KV.multitalk-files.{job_id}.>"
        )
        subjects = info.state.subjects or {}
        return [f"{job_id}/{subject.split(f'{job_id}.', 1)[1]}" for subject in subjects]

    async def _remove(self, name: str) -> None:
        try:
            info = await self._store.media.get_info(name)
        except NotFoundError:
            return
        await self._store.media.delete(info.name)

    async def _found(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and the name of its chunks."""
        with translate_errors():
            try:
                info = await self._store.media.get_info(checked(name))
            except NotFoundError as error:
                raise NotFound("upload_unknown") from error
        return info.size or 0, info.nuid
