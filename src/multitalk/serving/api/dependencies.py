"""What routes depend on: the server, the caller and their rate limit, the job that a path names."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, params
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.requests import HTTPConnection, Request

from multitalk.errors import Cancelled, NotFound
from multitalk.messages import Locale
from multitalk.schema.validation import brief
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.database import Database
from multitalk.serving.api.keys import KeyRing
from multitalk.serving.api.quota import StorageQuota
from multitalk.serving.api.rate_limits import Operation, RateLimits
from multitalk.serving.api.request_body import MemoryBudget
from multitalk.serving.api.signed_urls import UrlSigner
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.uvicorn_server import ShutdownState
from multitalk.serving.live.session_pool import LiveSessions
from multitalk.serving.queue import Job, JobQueue
from multitalk.serving.queue.records import JOB_ID
from multitalk.serving.sandbox.fair_scheduler import FairScheduler, Ticket
from multitalk.serving.sandbox.pool import SandboxPool, limits_for
from multitalk.settings import Settings

LOOK_SECONDS = 1.0  # at most, until an answer that waits notices that the server ends
SERVICE_TEXTS_AT_ONCE = 2
SMALL_PICTURES_AT_ONCE = 4
DISCONNECT_CHECK_SECONDS = 0.5
MAX_DIGITS = 14  # of a number in a query

Answer = TypeVar("Answer")


def _one_parser() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="json")


@dataclass
class Server:
    """One server.

    Attributes:
        config: The operator's configuration of this server.
        settings: The operator's settings of all entry points.
        engine: The engine that the workers load.
        queue: Jobs.
        database: What it must remember itself.
        keys: API keys.
        limits: Rate limits.
        url_signer: Signs the addresses of videos.
        uploads: Files that were sent ahead of their jobs.
        quota: How much may be stored.
        secret: From which the secrets of webhooks are derived.
        shutdown: Whether the server shuts down.
        sandbox: Processes that decode what clients sent.
        live: Live sessions.
        own_workers: Ids of the workers that this server has started.
        clock: Seconds since 1970.
        voices: The lists of voices that were made last, with when and in which locale.
        voices_lock: Held while such a list is made.
        speech_slots: For texts that the speech service speaks at once.
        thumbnail_slots: For portraits that are made small at once.
        json_parser: Parses large bodies, one at a time.
        body_memory: Memory for bodies that are being received.
    """

    config: ServeConfig
    settings: Settings
    engine: str
    queue: JobQueue
    database: Database
    keys: KeyRing
    limits: RateLimits
    url_signer: UrlSigner
    uploads: UploadStore
    quota: StorageQuota
    secret: bytes
    shutdown: ShutdownState
    sandbox: SandboxPool
    live: LiveSessions
    own_workers: set[str] = field(default_factory=set)
    clock: Callable[[], float] = field(default=time.time)
    voices: dict[Locale, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    voices_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    speech_slots: FairScheduler = field(
        default_factory=lambda: FairScheduler(slots=SERVICE_TEXTS_AT_ONCE)
    )
    thumbnail_slots: FairScheduler = field(
        default_factory=lambda: FairScheduler(slots=SMALL_PICTURES_AT_ONCE)
    )
    json_parser: ThreadPoolExecutor = field(default_factory=_one_parser)
    body_memory: MemoryBudget = field(default_factory=MemoryBudget)

    async def own_job(self, job_id: str, owner: str) -> Job:
        """A job of this caller's.

        Raises:
            NotFound: There is none, or it is another's: whoever asks learns nothing.
        """
        if not re.fullmatch(JOB_ID, job_id):
            raise NotFound("job_unknown", job_id=brief(job_id))
        job = await self.queue.get(job_id)
        if job.owner != owner:
            raise NotFound("job_unknown", job_id=job_id)
        return job

    async def wait_for_change(self, job: Job, *, seconds: float) -> Job:
        """A job once it has changed, after so long, or when the server ends."""
        ends, seen = time.monotonic() + seconds, job.version
        while job.version == seen and not self.shutdown.requested.is_set():
            left = min(ends - time.monotonic(), LOOK_SECONDS)
            if left <= 0:
                break
            job = await self.queue.wait_for_change(job.id, seen=seen, timeout=left)
        return job

    def base_url(self, request: Request) -> str:
        """How this server is reached, without a slash at its end."""
        return self.config.base_url or str(request.base_url).rstrip("/")


async def get_server(request: Request) -> Server:
    """The server that a request came to."""
    server: Server = request.app.state.server
    return server


async def get_owner(request: Request) -> str:
    """Id of the key that a request came with (see `auth`); empty where none is needed."""
    owner: str = request.state.owner
    return owner


ServerDep = Annotated[Server, Depends(get_server)]
Owner = Annotated[str, Depends(get_owner)]


def caller_of(connection: HTTPConnection) -> str:
    """Whose requests are counted together: a key's, or without keys a machine's."""
    owner: str = connection.state.owner
    return owner or (connection.client.host if connection.client else "")


async def get_caller(request: Request) -> str:
    """The caller of a route."""
    return caller_of(request)


Caller = Annotated[str, Depends(get_caller)]


def rate_limit(operation: Operation) -> params.Depends:
    """Dependency: the server, once the request is counted; TooManyRequests above the limit.

    One dependency for both, because each costs a request about 3 % of its time.
    """

    async def check(request: Request) -> Server:
        server: Server = request.app.state.server
        server.limits.admit(await get_caller(request), operation)
        return server

    dependency: params.Depends = Depends(check)
    return dependency


JobId = Annotated[str, Path()]


async def get_own_job(request: Request, job_id: JobId) -> Job:
    """The caller's job that the path names."""
    server: Server = request.app.state.server
    return await server.own_job(job_id, request.state.owner)


OwnJob = Annotated[Job, Depends(get_own_job)]


async def get_authorized_job(
    request: Request,
    server: ServerDep,
    job_id: JobId,
    signature: Annotated[
        str | None, Query(description="of a signed URL, in place of a key")
    ] = None,
    expires: Annotated[str, Query(description="of a signed URL")] = "",
) -> Job:
    """The job whose video may be had: by its owner's key, or by a signed URL.

    Raises:
        Unauthorized: No key, and no URL that this server has signed, or its time is over.
        NotFound: No such job, or it is another owner's.
    """
    if signature is not None:
        server.url_signer.check(job_id, expires, signature, now=server.clock())
        request.state.has_signature = True  # so its connection counts as authenticated
        return await server.queue.get(job_id)
    owner: str | None = request.state.owner
    if owner is None:
        server.url_signer.check(job_id, "", "", now=server.clock())
    return await server.own_job(job_id, owner or "")


AuthorizedJob = Annotated[Job, Depends(get_authorized_job)]


def _whole_number(text: object) -> object:
    """A number as a query may have it: ASCII digits, no sign."""
    if not isinstance(text, str):
        return text  # the default
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise PydanticCustomError("expected_integer", "not a whole number")
    return int(text)


DIGITS = BeforeValidator(_whole_number)


async def ask_about_picture(
    server: Server,
    ticket: Ticket,
    name: str,
    path: FilePath,
    *,
    directory: FilePath,
    speakers: int = 1,
) -> Any:
    """The result of a task of `sandbox.media_tasks` on a picture's file."""
    field, max_pixels = "image_path", server.settings.max_image_pixels
    given = {"path": str(path), "field": field, "max_pixels": max_pixels, "speakers": speakers}
    return await server.sandbox.run(
        ticket,
        name,
        given,
        limits=limits_for(server.settings),
        directory=directory,
        field=field,
        readable=[path],
    )


async def cancel_on_disconnect(request: Request, work: Awaitable[Answer]) -> Answer:
    """Await work, and cancel it when the client disconnects.

    Raises:
        Cancelled: The client has disconnected.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=DISCONNECT_CHECK_SECONDS)
            if not task.done() and await request.is_disconnected():
                raise Cancelled
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved: it may have failed just as the client left
