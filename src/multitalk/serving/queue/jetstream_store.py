"""A queue's data on a NATS server: connection, buckets, files, and translation of errors.

    bucket multitalk-state          current state of each job, changed by compare-and-set
    bucket multitalk-submissions    each job as it was submitted
    bucket multitalk-keys           idempotency keys
    bucket multitalk-pieces         fragments of unfinished videos
    bucket multitalk-workers        workers
    bucket multitalk-files          names of each job's files
    objects multitalk-media         the files

A message has at most 1 MB by a server's default configuration; larger data are objects.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error, NoServersError
from nats.js import JetStreamContext
from nats.js.api import StorageType
from nats.js.errors import APIError, NotFoundError
from nats.js.kv import KeyValue
from nats.js.object_store import ObjectStore
from typing_extensions import override

from multitalk.errors import InvalidRequest, NotFound, QueueUnavailable
from multitalk.net.deadline import within
from multitalk.net.retry import retry_async
from multitalk.serving.queue.media import MediaStore, check_name

KEEP_SECONDS = 15 * 86_400.0  # time to live of all data; a job lasts 14 days at most
REPLICAS = ("1", "3", "5")  # odd numbers have a majority
ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 10.0
SETUP_SECONDS = 60.0  # for a busy server to make the buckets
STORAGE_FULL = (10023, 10028, 10047, 10077)  # server/errors.json: resources, storage, bytes
WRONG_SEQUENCE = (10071, 10164)  # another client has written


@dataclass(frozen=True)
class Store:
    """A connection and the buckets of a queue; `reconnected` is set after each reconnection."""

    client: Client
    reconnected: asyncio.Event
    stream: JetStreamContext
    state: KeyValue
    submissions: KeyValue
    keys: KeyValue
    fragments: KeyValue
    workers: KeyValue
    files: KeyValue
    media: ObjectStore

    async def purge(self, bucket: str, subject: str, *, before: int | None = None) -> None:
        """Delete a bucket's entries of a subject, `KEY` or `KEY.>`, with their history.

        Args:
            bucket: Its name.
            subject: Of the entries.
            before: Only entries of an earlier revision.
        """
        await self.stream.purge_stream(
            f"KV_multitalk-{bucket}", subject=f"$KV.multitalk-{bucket}.{subject}", seq=before
        )

    async def entries(
        self, bucket: KeyValue, before: datetime | None = None, *, names_only: bool = False
    ) -> list[KeyValue.Entry]:
        """A bucket's entries, perhaps only those older than a moment by the server's clock."""

        async def read() -> list[KeyValue.Entry]:
            watcher = await bucket.watchall(ignore_deletes=True, meta_only=names_only)
            found = []
            try:
                async for entry in watcher:
                    if entry is None:  # all that is stored has come
                        break
                    if before is None or entry.created is None or entry.created < before:
                        found.append(entry)
            finally:
                await watcher.stop()
            return found

        return await within(SETUP_SECONDS, read())


async def connect(url: str, *, lease_seconds: float) -> Store:
    """Connect to a server, and make the buckets that do not exist.

    Args:
        url: Servers, separated by commas; the first one's scheme, user and password are used for
            all. `?replicas=3` makes buckets with three replicas. If NATS_CREDS names a file, its
            credentials are used.
        lease_seconds: Time to live of workers' entries.

    Raises:
        InvalidRequest: The number of replicas is not valid.
        QueueUnavailable: No server answers, or it refuses.
    """
    servers, replicas = parse_url(url)
    with translate_errors():
        reconnected = asyncio.Event()
        client = await _connect(servers, reconnected)
        try:
            # Repeating is safe: making a bucket that exists changes nothing.
            return await retry_async(
                lambda: _make_buckets(client, reconnected, lease_seconds, replicas),
                on=asyncio.TimeoutError,
                delays=[0.0] * round(SETUP_SECONDS / ANSWER_SECONDS),
            )
        except BaseException:
            await client.close()
            raise


def parse_url(url: str) -> tuple[list[str], int]:
    """Each server's URL, and the number of replicas.

    Raises:
        InvalidRequest: The number of replicas is not valid.
    """
    hosts, _, query = url.partition("?")
    first, *others = hosts.split(",")
    name, is_set, number = query.partition("=")
    if query and not (name == "replicas" and is_set and number in REPLICAS):
        raise InvalidRequest("queue_url_refused", field="--queue", value=f"?{query}")
    scheme, _, rest = first.partition("://")
    user, at, _ = rest.rpartition("@")
    servers = [first, *(f"{scheme}://{user}{at}{host}" for host in others)]
    return servers, int(number or 1)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn NATS errors into QueueUnavailable."""
    try:
        yield
    except APIError as error:
        if error.err_code in STORAGE_FULL:
            raise QueueUnavailable("queue_full") from error
        reason = error.description or type(error).__name__
        raise QueueUnavailable("queue_failed", reason=reason) from error
    except (asyncio.TimeoutError, NoServersError, ConnectionError) as error:
        raise QueueUnavailable("queue_failed", reason="no NATS server answers") from error
    except (Error, OSError) as error:
        reason = str(error).removeprefix("nats: ") or type(error).__name__
        raise QueueUnavailable("queue_failed", reason=reason) from error


async def _connect(servers: list[str], reconnected: asyncio.Event) -> Client:
    """Connect; waits for a server that is not reachable yet, but not for one that refuses."""
    client = Client()
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        if isinstance(error, Error) and not refused.done():  # a server has answered
            refused.set_exception(error)

    async def on_reconnect() -> None:
        reconnected.set()

    connecting = asyncio.ensure_future(
        client.connect(
            servers,
            name="multitalk",
            user_credentials=os.environ.get("NATS_CREDS") or None,
            connect_timeout=2,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            error_cb=on_error,
            reconnected_cb=on_reconnect,
        )
    )
    try:
        ended, _ = await asyncio.wait(
            {connecting, refused}, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for end in ended:
            end.result()
        if not ended:
            raise NoServersError
        return client
    finally:
        connecting.cancel()
        refused.cancel()


async def _make_buckets(
    client: Client, reconnected: asyncio.Event, lease_seconds: float, replicas: int
) -> Store:
    stream = client.jetstream(timeout=ANSWER_SECONDS)

    async def bucket(name: str, ttl: float | None = KEEP_SECONDS) -> KeyValue:
        return await stream.create_key_value(
            bucket=f"multitalk-{name}", ttl=ttl, replicas=replicas, storage=StorageType.FILE
        )

    return Store(
        client=client,
        reconnected=reconnected,
        stream=stream,
        state=await bucket("state", ttl=None),
        submissions=await bucket("submissions"),
        keys=await bucket("keys"),
        fragments=await bucket("pieces"),
        workers=await bucket("workers", ttl=max(lease_seconds, 1.0)),
        files=await bucket("files"),
        media=await stream.create_object_store(
            "multitalk-media", ttl=KEEP_SECONDS, replicas=replicas, storage=StorageType.FILE
        ),
    )


class JetStreamMedia(MediaStore):
    """Files on a NATS server.

    A file's name is stored before the file, so that every file is found when its job is deleted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    @override
    def directory(self) -> None:
        return None

    @override
    async def _store_file(self, source: Path | bytes, name: str) -> None:
        with translate_errors():
            await self._store.files.put(name.replace("/", "."), b"")
            if isinstance(source, bytes):
                await self._store.media.put(name, source)
            else:
                with source.open("rb") as file:
                    await self._store.media.put(name, file)

    @override
    async def size(self, name: str) -> int:
        size, _ = await self._find(name)
        return size

    @override
    async def read(
        self, name: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        # An object store has no ranges: it is read from its beginning.
        size, chunks = await self._find(name)
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
                    chunk = message.data[max(0, start - position) : end - position]
                    position += len(message.data)
                    if chunk:
                        yield chunk
            finally:
                await subscription.unsubscribe()

    @override
    async def job_bytes(self, job_id: str) -> int:
        total = 0
        with translate_errors():
            for name in await self._names(job_id):
                with suppress(NotFoundError):
                    total += (await self._store.media.get_info(name)).size or 0
        return total

    @override
    async def remove_job(self, job_id: str) -> None:
        with translate_errors():
            for name in await self._names(job_id):
                await self._remove_file(name)
            await self._store.purge("files", f"{job_id}.>")

    async def _names(self, job_id: str) -> list[str]:
        info = await self._store.stream.stream_info(
            "KV_multitalk-files", subjects_filter=f"$KV.multitalk-files.{job_id}.>"
        )
        subjects = info.state.subjects or {}
        return [f"{job_id}/{subject.split(f'{job_id}.', 1)[1]}" for subject in subjects]

    @override
    async def _remove_file(self, name: str) -> None:
        with translate_errors(), suppress(NotFoundError):
            await self._store.media.delete((await self._store.media.get_info(name)).name)

    async def _find(self, name: str) -> tuple[int, str]:
        """A file's size, and the NATS subject token of its chunks."""
        with translate_errors():
            try:
                info = await self._store.media.get_info(check_name(name))
            except NotFoundError as error:
                raise NotFound("upload_unknown") from error
        return info.size or 0, info.nuid
