"""The process of `multitalk serve`: the HTTP server, its workers and its background tasks."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from multitalk.errors import MultiTalkError, QueueUnavailable
from multitalk.serving.api.app import create_app
from multitalk.serving.api.config import ServeConfig, check_exposure
from multitalk.serving.api.connections import connections_for, raise_open_file_limit
from multitalk.serving.api.data_directory import (
    DATABASE_FILE,
    SECRET_FILE,
    UPLOADS,
    is_open_to_others,
    lock_data_directory,
    make_data_directory,
)
from multitalk.serving.api.database import Database
from multitalk.serving.api.dependencies import Server
from multitalk.serving.api.housekeeping import Housekeeping
from multitalk.serving.api.keys import KeyRing, open_keys
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.quota import StorageQuota
from multitalk.serving.api.rate_limits import RateLimits
from multitalk.serving.api.signed_urls import UrlSigner, read_secret
from multitalk.serving.api.supervisor import Supervisor
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.uvicorn_server import (
    GracefulServer,
    ShutdownState,
    address_of,
    end_process_in_time,
    http_server,
    listen,
)
from multitalk.serving.api.webhooks import Webhooks, public_poster
from multitalk.serving.live.session_pool import LiveSessions, sessions_for
from multitalk.serving.queue import open_queue
from multitalk.serving.sandbox.pool import SandboxPool
from multitalk.settings import Settings

POLL_SECONDS = 0.2
STOPPING = "stopping: a job at hand has %g s to end; a second Ctrl-C ends at once"
WORKER_WAIT_SECONDS = 10.0  # until the address is printed although no worker is ready

logger = logging.getLogger(__name__)


def serve(
    config: ServeConfig,
    settings: Settings,
    *,
    port: int,
    queue_url: str,
    engine: str,
    worker_command: Sequence[str],
    workers: int,
    drain_seconds: float,
    on_ready: Callable[[str], None],
    waits_for_workers: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, then shut down gracefully.

    Args:
        config: Of this server.
        settings: Of all entry points.
        port: To listen on; 0 lets the system choose.
        queue_url: As for `open_queue`.
        engine: The engine that the workers load.
        worker_command: Command of one worker.
        workers: Number of workers to start.
        drain_seconds: For a worker's current job, once the server stops.
        on_ready: Called with the server's address once it listens.
        waits_for_workers: Call it only when a worker is ready.

    Raises:
        InvalidRequest: A key is needed, or an address or the directory cannot be used.
        QueueUnavailable: The queue cannot be used.
    """
    keys = _prepare(config)
    listening = listen(config.host, port)
    address = address_of(config, listening.getsockname()[1])
    metrics, shutdown = Metrics(), ShutdownState()
    startup_errors: list[MultiTalkError] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Server]:
        opening = open_server(
            config, settings, keys, queue_url=queue_url, engine=engine, shutdown=shutdown
        )
        async with contextlib.AsyncExitStack() as stack:
            with _noting(startup_errors):
                server = await stack.enter_async_context(opening)
            await stack.enter_async_context(_supervisor(server, worker_command, workers))
            metrics.follow_live(server.live)
            webhooks = Webhooks(server, metrics, public_poster(settings))
            background = [Housekeeping(server, webhooks, metrics).run()]
            if waits_for_workers and workers:
                background.append(_report_ready(server, lambda: on_ready(address)))
            else:
                on_ready(address)
            await stack.enter_async_context(_running(background))
            yield server

    uvicorn_server = http_server(
        create_app(config, keys, lifespan, metrics),
        shutdown,
        connections_for(raise_open_file_limit()),
        trusted_proxies=config.trusted_proxies,
        on_begin=lambda: logger.info(STOPPING, drain_seconds),
    )
    _run(uvicorn_server, listening, startup_errors)


def _prepare(config: ServeConfig) -> KeyRing:
    """Check the configuration and make the directory; the server's keys."""
    keys = open_keys(config.data)
    check_exposure(config, keys)
    make_data_directory(config.data)
    logger.info("keys, jobs and videos are kept in %s", config.data)
    if is_open_to_others(config.data):
        logger.warning("others may look into it; chmod 700 %s ends that", config.data)
    return keys


def _run(
    server: GracefulServer, listening: socket.socket, startup_errors: Sequence[MultiTalkError]
) -> None:
    """Run until a signal comes, and end the process in time."""
    try:
        server.run(sockets=[listening])
    except SystemExit as error:  # raised by uvicorn where the application does not start
        if startup_errors:
            raise startup_errors[0] from error
        raise
    finally:
        end_process_in_time()


def _supervisor(server: Server, command: Sequence[str], workers: int) -> Supervisor:
    return Supervisor(
        command,
        workers,
        on_exit=server.queue.mark_worker_dead,
        running=server.own_workers,
        forced=server.shutdown.forced,
    )


@contextlib.contextmanager
def _noting(errors: list[MultiTalkError]) -> Iterator[None]:
    """Keep an error of the start, which uvicorn would only log with its traceback."""
    try:
        yield
    except MultiTalkError as error:
        errors.append(error)
        logging.getLogger("uvicorn.error").disabled = True
        raise


@asynccontextmanager
async def _running(work: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run coroutines in the background while the context is open."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def open_server(
    config: ServeConfig,
    settings: Settings,
    keys: KeyRing,
    *,
    queue_url: str,
    engine: str,
    shutdown: ShutdownState | None = None,
) -> AsyncIterator[Server]:
    """The server that the routes share, open while the context is.

    Raises:
        InvalidRequest: The directory cannot be used, or another server uses it.
        QueueUnavailable: The queue cannot be used.
    """
    with lock_data_directory(config.data):
        opening = _opened(
            config,
            settings,
            keys,
            queue_url=queue_url,
            engine=engine,
            shutdown=shutdown or ShutdownState(),
        )
        async with opening as server:
            yield server


@asynccontextmanager
async def _opened(
    config: ServeConfig,
    settings: Settings,
    keys: KeyRing,
    *,
    queue_url: str,
    engine: str,
    shutdown: ShutdownState,
) -> AsyncIterator[Server]:
    secret = read_secret(config.data / SECRET_FILE)
    database = Database(config.data / DATABASE_FILE)
    uploads = UploadStore(
        (config.data / UPLOADS).absolute(),
        database,
        seconds=config.upload_seconds,
        max_bytes=config.max_upload_bytes,
    )
    queue = await open_queue(queue_url)
    sandbox = SandboxPool(settings.work_directory)
    live = LiveSessions(
        sessions_for(os.cpu_count() or 1) if config.live_sessions is None else config.live_sessions
    )
    closing = asyncio.create_task(_close_at_shutdown(sandbox, shutdown))
    server = Server(
        config=config,
        settings=settings,
        engine=engine,
        queue=queue,
        database=database,
        keys=keys,
        limits=RateLimits(factor=config.rate_factor),
        url_signer=UrlSigner(secret),
        uploads=uploads,
        quota=StorageQuota(config.data, queue, uploads, quota=config.quota_bytes),
        secret=secret,
        shutdown=shutdown,
        sandbox=sandbox,
        live=live,
    )
    try:
        yield server
    finally:
        closing.cancel()
        await sandbox.close()
        await live.close()
        server.json_parser.shutdown(wait=False, cancel_futures=True)
        await queue.close()
        database.close()


async def _close_at_shutdown(sandbox: SandboxPool, shutdown: ShutdownState) -> None:
    """Cancel sandboxed tasks at a shutdown, so that their requests are answered."""
    await shutdown.requested.wait()
    await sandbox.close()


async def _report_ready(server: Server, on_ready: Callable[[], None]) -> None:
    """Call `on_ready` when a worker is ready, and once before if that takes a while."""
    loop = asyncio.get_running_loop()
    wait_until: float | None = loop.time() + WORKER_WAIT_SECONDS
    while not (server.shutdown.requested.is_set() or await _has_worker(server)):
        if wait_until is not None and loop.time() > wait_until:
            logger.info("the server answers; no worker is ready yet")
            on_ready()
            wait_until = None
        await asyncio.sleep(POLL_SECONDS)
    if not server.shutdown.requested.is_set():
        on_ready()


async def _has_worker(server: Server) -> bool:
    try:
        return bool(await server.queue.workers())
    except QueueUnavailable:
        return False
