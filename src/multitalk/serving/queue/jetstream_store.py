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
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error, NoServersError
from nats.js import JetStreamContext
from nats.js.api import StorageType
from nats.js.errors import APIError, NotFoundError
from nats.js.kv import KV_DEL, KV_PURGE, KeyValue
from nats.js.object_store import ObjectStore
from typing_extensions import override

from multitalk.errors import InvalidRequest, NotFound, QueueUnavailable
from multitalk.net.deadline import within
from multitalk.net.retry import backoff, retry_async
from multitalk.schema import JobStatus
from multitalk.serving.queue.media import MediaStore, check_name, new_name
from multitalk.serving.queue.records import Job

KEEP_SECONDS = 15 * 86_400.0  # time to live of all data; a job lasts 14 days at most
REPLICAS = ("1", "3", "5")  # odd numbers have a majority
ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 10.0
SETUP_SECONDS = 60.0  # for a busy server to make the buckets
STORAGE_FULL = (10023, 10028, 10047, 10077)  # server/errors.json: resources, storage, bytes
WRONG_SEQUENCE = 10071  # another client has written


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

    async def purge(self, bucket: str, subject: str) -> None:
        """Delete a bucket's entries of a subject, `KEY` or `KEY.>`, with their history."""
        await self.stream.purge_stream(
            f"KV_multitalk-{bucket}", subject=f"$KV.multitalk-{bucket}.{subject}"
        )


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
                await self._remove(name)
            await self._store.purge("files", f"{job_id}.>")

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

    async def _find(self, name: str) -> tuple[int, str]:
        """A file's size, and the NATS subject token of its chunks."""
        with translate_errors():
            try:
                info = await self._store.media.get_info(check_name(name))
            except NotFoundError as error:
                raise NotFound("upload_unknown") from error
        return info.size or 0, info.nuid


class JobCache:
    """Jobs by id. This process's writes show immediately, others' within milliseconds."""

    def __init__(self, bucket: KeyValue, reconnected: asyncio.Event) -> None:
        self._bucket = bucket
        self._reconnected = reconnected
        self._jobs: dict[str, tuple[int, Job]] = {}
        self._waiting: dict[str, Job] = {}
        self._ends: dict[int, str] = {}  # ids in the observed order of their end, by number
        self._turns: dict[str, int] = {}  # by owner: number of the last claim
        self._changed = asyncio.Event()
        self._work = asyncio.Event()
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read all jobs, then follow changes."""
        await self._read_all()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following changes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            await self._watcher.stop()

    def store(self, job: Job, revision: int) -> None:
        """Store a job that was written, unless a newer revision is known."""
        known = self._jobs.get(job.id)
        if known is not None and known[0] >= revision:
            return
        self._jobs[job.id] = revision, job
        self._turns[job.owner] = max(job.turn, self._turns.get(job.owner, 0))
        if job.status is JobStatus.IN_QUEUE:
            self._waiting[job.id] = job
            self._work.set()
            self._work = asyncio.Event()
        else:
            self._waiting.pop(job.id, None)
        if job.is_final and not (known and known[1].is_final):
            self._ends[next(self._numbers)] = job.id
        self._notify()

    def drop(self, job_id: str) -> None:
        """Remove a job that was deleted."""
        self._jobs.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._notify()

    def jobs(self) -> list[tuple[int, Job]]:
        """All jobs as (revision, job), unordered."""
        return list(self._jobs.values())

    def get(self, job_id: str) -> Job | None:
        """A job, or None."""
        known = self._jobs.get(job_id)
        return known[1] if known else None

    def waiting(self) -> list[Job]:
        """Jobs that may be claimed, unordered."""
        return [job for job in self._waiting.values() if self.is_complete(job)]

    def is_complete(self, job: Job) -> bool:
        """Whether a job's batch is stored completely."""
        return job.batch is None or job.batch in self._jobs

    def turn(self, owner: str) -> int:
        """Number of an owner's last claim; 0: none known."""
        return self._turns.get(owner, 0)

    def next_turn(self) -> int:
        """Number of the next claim."""
        return max(self._turns.values(), default=0) + 1

    def ended_jobs(self, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Ended jobs, as `JobQueue.ended_jobs`."""
        deleted = [number for number, job_id in self._ends.items() if job_id not in self._jobs]
        for number in deleted:
            del self._ends[number]
        found = ((number, job_id) for number, job_id in self._ends.items() if number > after)
        return list(itertools.islice(found, limit))

    async def wait_for_work(self, seconds: float) -> None:
        """Wait until another job is IN_QUEUE, for at most some seconds."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._work.wait(), seconds)

    async def wait(self, job_id: str, *, seen: int, timeout: float) -> None:
        """Wait until a job's version is above `seen`, or it is deleted."""
        ends = time.monotonic() + timeout
        while (job := self.get(job_id)) is not None and job.version <= seen:
            left = ends - time.monotonic()
            if left <= 0:
                return
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def _read_all(self) -> None:
        """Start a watch; its first entries are the current state of all jobs."""
        known = set(self._jobs)
        self._reconnected.clear()
        self._watcher = await self._bucket.watchall()
        async for entry in self._watcher:
            if entry is None:
                break
            known.discard(entry.key)
            self._apply(entry)
        for job_id in known:  # deleted while there was no connection
            self.drop(job_id)

    async def _follow(self) -> None:
        """Apply changes. After a reconnection read all: a watch resumes many seconds later."""
        while True:
            tasks = [
                asyncio.ensure_future(self._apply_changes()),
                asyncio.ensure_future(self._reconnected.wait()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(Error):
                await self._watcher.stop()
            await retry_async(
                lambda: within(SETUP_SECONDS, self._read_all()),
                on=(Error, OSError, asyncio.TimeoutError),
                delays=backoff(0.1, ANSWER_SECONDS),
            )

    async def _apply_changes(self) -> None:
        async for entry in self._watcher:
            if entry is not None:
                self._apply(entry)

    def _apply(self, entry: KeyValue.Entry) -> None:
        if entry.operation in (KV_DEL, KV_PURGE):
            self.drop(entry.key)
        elif entry.value:
            self.store(Job.from_json(entry.value), entry.revision or 0)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
