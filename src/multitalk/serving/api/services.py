"""What a server's routes use, opened together in the event loop and closed at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property

from starlette.requests import HTTPConnection

from multitalk.live.capacity import available_cores, sessions_for
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.access.quota import StorageQuota
from multitalk.serving.api.access.rate_limits import RateLimits
from multitalk.serving.api.access.signed_urls import UrlSigner, read_secret
from multitalk.serving.api.body_parser import BodyParser
from multitalk.serving.api.client_media import ClientMedia
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.data_directory import (
    DATABASE_FILE,
    SECRET_FILE,
    UPLOADS,
    lock_data_directory,
)
from multitalk.serving.api.database import Database
from multitalk.serving.api.jobs.estimate import Estimator
from multitalk.serving.api.jobs.job_replies import JobReplies
from multitalk.serving.api.jobs.submissions import Submissions
from multitalk.serving.api.jobs.talk_length import TalkLengths
from multitalk.serving.api.text_to_speech import TextToSpeech
from multitalk.serving.api.transport.uvicorn_server import ShutdownState
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.live.sessions import LiveSessions
from multitalk.serving.live.webrtc_peer import WebRtcSessions
from multitalk.serving.queue import JobQueue, open_queue
from multitalk.serving.sandbox.pool import SandboxPool
from multitalk.settings import Settings


@dataclass(frozen=True)
class Services:
    """The services of one server; a route gets those that it names (`dependencies`).

    Services that need others are created on first use.

    Attributes:
        config: The operator's configuration of this server.
        settings: The operator's settings of all entry points.
        engine: The engine that the workers load.
        keys: API keys.
        secret: From which the secrets of webhooks are derived.
        shutdown: Whether the server shuts down.
        clock: Seconds since 1970.
        queue: Jobs.
        database: What the server alone must remember.
        uploads: Files that were sent ahead of their jobs.
        sandbox: Processes that open clients' files and speak texts.
        live: Live sessions.
        webrtc: Those of them that outlive the requests that opened them.
        bodies: Reads bodies of requests.
        own_workers: Ids of the workers that this server has started.
    """

    config: ServeConfig
    settings: Settings
    engine: str
    keys: KeyRing
    secret: bytes
    shutdown: ShutdownState
    clock: Callable[[], float]
    queue: JobQueue
    database: Database
    uploads: UploadStore
    sandbox: SandboxPool
    live: LiveSessions
    webrtc: WebRtcSessions = field(default_factory=WebRtcSessions)
    bodies: BodyParser = field(default_factory=BodyParser)
    own_workers: set[str] = field(default_factory=set)

    @cached_property
    def limits(self) -> RateLimits:
        """Rate limits."""
        return RateLimits(factor=self.config.rate_factor)

    @cached_property
    def url_signer(self) -> UrlSigner:
        """Signs the addresses of videos."""
        return UrlSigner(self.secret)

    @cached_property
    def quota(self) -> StorageQuota:
        """The limits of storage."""
        config = self.config
        return StorageQuota(config.data, self.queue, self.uploads, quota=config.quota_bytes)

    @cached_property
    def replies(self) -> JobReplies:
        """Jobs as JSON."""
        return JobReplies(self.queue, self.url_signer, self.clock, self.config.max_run_bytes)

    @cached_property
    def submissions(self) -> Submissions:
        """Sends jobs to the queue."""
        return Submissions(
            self.queue,
            self.database,
            self.uploads,
            settings=self.settings,
            retention_seconds=self.config.retention_seconds,
            max_waiting=self.limits.max_waiting,
            clock=self.clock,
        )

    @cached_property
    def estimator(self) -> Estimator:
        """Estimates jobs."""
        return Estimator(
            self.config,
            self.settings,
            self.engine,
            queue=self.queue,
            database=self.database,
            uploads=self.uploads,
            submissions=self.submissions,
            lengths=TalkLengths(self.sandbox, self.settings),
            clock=self.clock,
        )

    @cached_property
    def speech(self) -> TextToSpeech:
        """Speaks texts."""
        return TextToSpeech(self.sandbox, self.settings, clock=self.clock)

    @cached_property
    def client_media(self) -> ClientMedia:
        """Opens clients' files."""
        return ClientMedia(self.sandbox, self.settings)


def services_of(connection: HTTPConnection) -> Services:
    """The services of the server that a request or a WebSocket came to."""
    services: Services = connection.app.state.services
    return services


@asynccontextmanager
async def open_services(
    config: ServeConfig,
    settings: Settings,
    keys: KeyRing,
    *,
    queue_url: str,
    engine: str,
    shutdown: ShutdownState | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Services]:
    """The services of a server, while the context is open.

    Raises:
        InvalidRequest: The directory cannot be used, or another server uses it.
        QueueUnavailable: The queue cannot be used.
    """
    shutdown = shutdown or ShutdownState()
    async with AsyncExitStack() as stack:
        stack.enter_context(lock_data_directory(config.data))
        secret = read_secret(config.data / SECRET_FILE)
        database = Database(config.data / DATABASE_FILE)
        stack.callback(database.close)
        queue = await open_queue(queue_url)
        stack.push_async_callback(queue.close)
        uploads = UploadStore(
            (config.data / UPLOADS).absolute(),
            database,
            seconds=config.upload_seconds,
            max_bytes=config.max_upload_bytes,
            clock=clock,
        )
        services = Services(
            config=config,
            settings=settings,
            engine=engine,
            keys=keys,
            secret=secret,
            shutdown=shutdown,
            clock=clock,
            queue=queue,
            database=database,
            uploads=uploads,
            sandbox=SandboxPool(settings.work_directory),
            live=LiveSessions(_live_sessions(config)),
        )
        stack.callback(services.bodies.close)
        stack.push_async_callback(services.live.close)
        stack.push_async_callback(services.sandbox.close)
        stack.push_async_callback(services.webrtc.close)
        closing = asyncio.create_task(_close_at_shutdown(services.sandbox, shutdown))
        stack.callback(closing.cancel)
        yield services


def _live_sessions(config: ServeConfig) -> int:
    if config.live_sessions is None:
        return sessions_for(available_cores())
    return config.live_sessions


async def _close_at_shutdown(sandbox: SandboxPool, shutdown: ShutdownState) -> None:
    """Cancel sandboxed tasks at a shutdown, so that their requests are answered."""
    await shutdown.requested.wait()
    await sandbox.close()
