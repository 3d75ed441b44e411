"""What the routes of one server share."""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request

from multitalk.errors import NotFound
from multitalk.messages import Locale
from multitalk.schema.validation import brief
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.database import Database
from multitalk.serving.api.keys import KeyRing
from multitalk.serving.api.quota import StorageQuota
from multitalk.serving.api.rate_limits import RateLimits
from multitalk.serving.api.request_body import MemoryBudget
from multitalk.serving.api.signed_urls import UrlSigner
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.uvicorn_server import ShutdownState
from multitalk.serving.queue import Job, JobQueue
from multitalk.serving.queue.records import JOB_ID
from multitalk.serving.sandbox.fair_scheduler import FairScheduler, Ticket
from multitalk.serving.sandbox.pool import SandboxPool, limits_for
from multitalk.settings import Settings

LOOK_SECONDS = 1.0  # at most, until an answer that waits notices that the server ends
SERVICE_TEXTS_AT_ONCE = 2
SMALL_PICTURES_AT_ONCE = 4


def _one_parser() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="json")


@dataclass
class Server:
    """One server.

    Attributes:
        config: What the operator decided about it.
        settings: What the operator decided about all doors.
        engine: The engine that the workers load.
        queue: Where jobs are.
        ledger: What it must remember itself.
        keys: Who may ask.
        limits: How often.
        links: Signs the addresses of videos.
        uploads: Files that came ahead of their jobs.
        storage: How much may be stored.
        secret: What its webhooks' secrets are derived from.
        ending: Whether it was asked to end.
        own_workers: Ids of the workers that run on behalf of this server.
        clock: Seconds since 1970.
        readers: Look into what clients sent, in processes of their own.
        voices: The lists of voices that were made last, with when and for whom.
        listing: Held while such a list is made.
        asking: Places for texts that the speech service speaks at once.
        parsing: Where large bodies are parsed, one at a time.
        receiving: Room for bodies that are being received.
        small_pictures: Places for portraits that are made small at once.
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
    own_workers: set[str] = field(default_factory=set)
    clock: Callable[[], float] = field(default=time.time)
    voices: dict[Locale, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    voices_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    speech_slots: FairScheduler = field(
        default_factory=lambda: FairScheduler(places=SERVICE_TEXTS_AT_ONCE)
    )
    thumbnail_slots: FairScheduler = field(
        default_factory=lambda: FairScheduler(places=SMALL_PICTURES_AT_ONCE)
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


def server_of(request: Request) -> Server:
    """The server that a request came to."""
    server: Server = request.app.state.server
    return server


def owner_of(request: Request) -> str:
    """Id of the key that a request came with; empty where none is needed."""
    owner: str = request.state.owner
    return owner


def caller_of(request: Request) -> str:
    """Whose requests are counted together: a key's, or without keys a machine's."""
    return owner_of(request) or (request.client.host if request.client else "")


async def ask_about_picture(
    server: Server, ticket: Ticket, name: str, path: Path, *, directory: Path, speakers: int = 1
) -> Any:
    """An answer of `reader.pictures` about a file."""
    field, max_pixels = "image_path", server.settings.max_image_pixels
    given = {"path": str(path), "field": field, "max_pixels": max_pixels, "speakers": speakers}
    return await server.sandbox.ask(
        ticket,
        name,
        given,
        limits=limits_for(server.settings),
        directory=directory,
        field=field,
        readable=[path],
    )
