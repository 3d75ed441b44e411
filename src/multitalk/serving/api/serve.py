"""The server's process: a socket, the queue, the workers, until somebody says stop."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

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
    ShutdownState,
    address_of,
    end_process_in_time,
    http_server,
    listen,
)
from multitalk.serving.api.webhooks import Webhooks, public_poster
from multitalk.serving.live.sessions import LiveSessions, sessions_for
from multitalk.serving.queue import open_queue
from multitalk.serving.sandbox.pool import SandboxPool
from multitalk.settings import Settings

LOOK_SECONDS = 0.2
STOPPING = "stopping: a job at hand has 25 s to end; a second Ctrl-C ends at once"
PATIENCE_SECONDS = 10.0  # after which the address is printed although no worker is ready

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
    on_ready: Callable[[str], None],
    waits_for_workers: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, then let answers and workers end.

    Args:
        config: What the operator decided about this server.
        settings: What the operator decided about all doors.
        port: To listen at; 0 lets the system choose.
        queue_url: As for `open_queue`.
        engine: The engine that the workers load.
        worker_command: Starts one worker.
        workers: How many to start here.
        on_ready: Told the server's address once it listens.
        waits_for_workers: Tell it only when a worker is ready, so that it is the last that is said.

    Raises:
        InvalidRequest: It would be open to others without a key, one of its addresses is none, it
            cannot listen there, or another server uses its directory.
        QueueUnavailable: The queue cannot be used.
    """
    keys = open_keys(config.data)
    check_exposure(config, keys)
    make_data_directory(config.data)
    logger.info("keys, jobs and videos are kept in %s", config.data)
    if is_open_to_others(config.data):
        logger.warning("others may look into it; chmod 700 %s ends that", config.data)
    listening = listen(config.host, port)
    address = address_of(config, listening.getsockname()[1])
    metrics, shutdown = Metrics(), ShutdownState()

    unopened: list[MultiTalkError] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Server]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                server = await stack.enter_async_context(
                    open_server(
                        config,
                        settings,
                        keys,
                        queue_url=queue_url,
                        engine=engine,
                        shutdown=shutdown,
                    )
                )
            except MultiTalkError as error:
                unopened.append(error)
                logging.getLogger("uvicorn.error").disabled = True  # it would log a traceback
                raise
            await stack.enter_async_context(
                Supervisor(
                    worker_command,
                    workers,
                    bury=server.queue.mark_worker_dead,
                    running=server.own_workers,
                    forced=shutdown.forced,
                )
            )
            metrics.follow_live(server.live)
            webhooks = Webhooks(server, metrics, public_poster(settings))
            chores = [asyncio.create_task(Housekeeping(server, webhooks, metrics).run())]
            if waits_for_workers and workers:
                greeting = _greet(server, lambda: on_ready(address))
                chores.append(asyncio.create_task(greeting))
            else:
                on_ready(address)
            try:
                yield server
            finally:
                for chore in chores:
                    chore.cancel()
                await asyncio.gather(*chores, return_exceptions=True)

    app = create_app(config, keys, opening, metrics)
    server = http_server(
        app,
        shutdown,
        connections_for(raise_open_file_limit()),
        trusted_proxies=config.trusted_proxies,
        on_begin=lambda: logger.info(STOPPING),
    )
    try:
        server.run(sockets=[listening])
    except SystemExit as error:  # how uvicorn ends where `opening` fails
        if unopened:
            raise unopened[0] from error
        raise
    finally:
        end_process_in_time()


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
    """What the routes share, open while the context is.

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
    ended = asyncio.create_task(_close_at_end(sandbox, shutdown))
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
        ended.cancel()
        await sandbox.close()
        await live.close()
        server.json_parser.shutdown(wait=False, cancel_futures=True)
        await queue.close()
        database.close()


async def _close_at_end(sandbox: SandboxPool, shutdown: ShutdownState) -> None:
    """Let nobody wait for an answer of theirs once the server was asked to end."""
    await shutdown.requested.wait()
    await sandbox.close()


async def _greet(server: Server, greet: Callable[[], None]) -> None:
    """Greet when a worker is ready; if that takes a while, once before it, too."""
    loop = asyncio.get_running_loop()
    patient_until: float | None = loop.time() + PATIENCE_SECONDS
    while not (server.shutdown.requested.is_set() or await _is_worker_there(server)):
        if patient_until is not None and loop.time() > patient_until:
            logger.info("the server answers; no worker is ready yet")
            greet()
            patient_until = None
        await asyncio.sleep(LOOK_SECONDS)
    if not server.shutdown.requested.is_set():
        greet()


async def _is_worker_there(server: Server) -> bool:
    try:
        return bool(await server.queue.workers())
    except QueueUnavailable:
        return False
