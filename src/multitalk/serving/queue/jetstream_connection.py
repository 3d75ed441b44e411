"""Where a queue lies on a NATS server: its buckets, and what failures mean.

    bucket multitalk-state          each job as it stands, changed by compare-and-set
    bucket multitalk-submissions    each job as it was sent
    bucket multitalk-keys           idempotency keys
    bucket multitalk-pieces         pieces of videos that are being made
    bucket multitalk-workers        who is there
    bucket multitalk-files          names of a job's files
    objects multitalk-media         the files

A message is at most 1 MB on a server as it comes, so what is larger is an object.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error, NoServersError
from nats.js import JetStreamContext
from nats.js.api import StorageType
from nats.js.errors import APIError
from nats.js.kv import KeyValue
from nats.js.object_store import ObjectStore

from multitalk.errors import InvalidRequest, QueueUnavailable

KEEP_SECONDS = (
    15 * 86_400.0
)  # what no job owns any more goes by itself: a job lasts 14 days at most
REPLICAS = ("1", "3", "5")  # what JetStream can keep agreeing on
ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 10.0
MAKING_SECONDS = 60.0  # a server that answers, but late, is given to make what is not there
STORAGE_FULL = (10023, 10028, 10047, 10077)  # server/errors.json: resources, storage, bytes
WRONG_SEQUENCE = 10071  # somebody else has written


@dataclass(frozen=True)
class Store:
    """A connection and all that a queue uses on it."""

    client: Client
    stream: JetStreamContext
    state: KeyValue
    submissions: KeyValue
    keys: KeyValue
    pieces: KeyValue
    workers: KeyValue
    files: KeyValue
    media: ObjectStore

    async def forget(self, bucket: str, subject: str) -> None:
        """Remove what a bucket has under a key, or under `KEY.>`; nothing of it is left."""
        await self.stream.purge_stream(
            f"KV_multitalk-{bucket}", subject=f"$KV.multitalk-{bucket}.{subject}"
        )


async def connect(url: str, *, lease_seconds: float) -> Store:
    """Connect, and make what is not there.

    Args:
        url: Servers, separated by commas; the scheme, the user and the password of the first are
            for all. With `?replicas=3` what is made has three copies. Where NATS_CREDS names a
            file, its credentials are used.
        lease_seconds: How long a worker may be silent.

    Raises:
        InvalidRequest: The number of copies is none.
        QueueUnavailable: No server answers, or it refuses.
    """
    servers, replicas = parsed(url)
    with translate_errors():
        client = await _connected(servers)
        ends = time.monotonic() + MAKING_SECONDS
        try:
            while True:
                try:
                    return await _made(client, lease_seconds, replicas)
                except asyncio.TimeoutError:  # busy; what was made already does no harm
                    if time.monotonic() > ends:
                        raise
        except BaseException:
            await client.close()
            raise


def parsed(url: str) -> tuple[list[str], int]:
    """Each server's URL, and how many copies there shall be.

    Raises:
        InvalidRequest: The number of copies is none.
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
    """Turn what NATS says into QueueUnavailable."""
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


async def _connected(servers: list[str]) -> Client:
    """A connection; a server that is not there yet is waited for, one that refuses is not."""
    client = Client()
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        if isinstance(error, Error) and not refused.done():  # it has answered
            refused.set_exception(error)

    connecting = asyncio.ensure_future(
        client.connect(
            servers,
            name="multitalk",
            user_credentials=os.environ.get("NATS_CREDS") or None,
            connect_timeout=2,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            error_cb=on_error,
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


async def _made(client: Client, lease_seconds: float, replicas: int) -> Store:
    stream = client.jetstream(timeout=ANSWER_SECONDS)

    async def bucket(name: str, ttl: float | None = KEEP_SECONDS) -> KeyValue:
        return await stream.create_key_value(
            bucket=f"multitalk-{name}", ttl=ttl, replicas=replicas, storage=StorageType.FILE
        )

    return Store(
        client=client,
        stream=stream,
        state=await bucket("state", ttl=None),
        submissions=await bucket("submissions"),
        keys=await bucket("keys"),
        pieces=await bucket("pieces"),
        workers=await bucket("workers", ttl=max(lease_seconds, 1.0)),
        files=await bucket("files"),
        media=await stream.create_object_store(
            "multitalk-media", ttl=KEEP_SECONDS, replicas=replicas, storage=StorageType.FILE
        ),
    )
