"""The process of `multitalk serve`: the HTTP server, its workers and its background tasks."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from multitalk.errors import MultiTalkError, QueueUnavailable
from multitalk.serving.api.access.keys import KeyRing, open_keys
from multitalk.serving.api.app import create_app
from multitalk.serving.api.config import ServeConfig, check_exposure
from multitalk.serving.api.data_directory import is_open_to_others, make_data_directory
from multitalk.serving.api.housekeeping import Housekeeping
from multitalk.serving.api.jobs.webhooks import Webhooks, public_poster
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.services import Services, open_services
from multitalk.serving.api.supervisor import Supervisor
from multitalk.serving.api.transport.connections import connections_for, raise_open_file_limit
from multitalk.serving.api.transport.uvicorn_server import (
    GracefulServer,
    ShutdownState,
    address_of,
    end_process_in_time,
    http_server,
    listen,
)
from multitalk.serving.queue import JobQueue
from multitalk.settings import Settings

POLL_SECONDS = 0.2
STOPPING = "stopping: a job at hand has %g s to end; a second Ctrl-C ends at once"
WORKER_WAIT_SECONDS = 10.0  # until the address is printed although no worker is ready

logger = logging.getLogger(__name__)


def serve(
    config: ServeConfig,
    settings: Settings,
    *,
    ports: Sequence[int],
    queue_url: str,
    engine: str,
    worker_command: Sequence[str],
    drain_seconds: float,
    on_ready: Callable[[str], None],
    waits_for_workers: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, then shut down gracefully.

    Args:
        config: Of this server.
        settings: Of all entry points.
        ports: To listen on, the public one first; 0 lets the system choose.
        queue_url: As for `open_queue`.
        engine: The engine that the workers load.
        worker_command: Command of one worker.
        drain_seconds: For a worker's current job, once the server stops.
        on_ready: Called with the server's address once it listens.
        waits_for_workers: Call it only when a worker is ready.

    Raises:
        InvalidRequest: A key is needed, or an address or the directory cannot be used.
        QueueUnavailable: The queue cannot be used.
    """
    keys = _prepare(config, settings)
    listening = [listen(config.host, port) for port in dict.fromkeys(ports)]
    address = address_of(config, listening[0].getsockname()[1])
    metrics, shutdown = Metrics(), ShutdownState()
    startup_errors: list[MultiTalkError] = []

    def lifespan() -> AbstractAsyncContextManager[Services]:
        opening = open_services(
            config, settings, keys, queue_url=queue_url, engine=engine, shutdown=shutdown
        )
        return _with_background_work(
            opening,
            startup_errors,
            metrics,
            worker_command,
            lambda: on_ready(address),
            waits_for_workers=waits_for_workers,
        )

    uvicorn_server = http_server(
        create_app(config, keys, lifespan, metrics),
        shutdown,
        connections_for(raise_open_file_limit()),
        trusted_proxies=config.trusted_proxies,
        on_begin=lambda: logger.info(STOPPING, drain_seconds),
    )
    _run(uvicorn_server, listening, startup_errors)


@asynccontextmanager
async def _with_background_work(
    opening: AbstractAsyncContextManager[Services],
    startup_errors: list[MultiTalkError],
    metrics: Metrics,
    worker_command: Sequence[str],
    on_ready: Callable[[], None],
    *,
    waits_for_workers: bool,
) -> AsyncIterator[Services]:
    """The services, with their workers and housekeeping, while the context is open.

    An error of opening them is also added to `startup_errors`.
    """
    async with contextlib.AsyncExitStack() as stack:
        with _collect_errors(startup_errors):
            services = await stack.enter_async_context(opening)
        workers = services.config.workers
        await stack.enter_async_context(_supervisor(services, worker_command, workers))
        metrics.follow_live(services.live)
        waited = services.queue if waits_for_workers and workers else None
        ready = _report_ready(waited, services.shutdown, on_ready)
        background = [_housekeeping(services, metrics).run(), ready]
        await stack.enter_async_context(_running(background))
        # What is loaded stays: a full collection would stop live sessions for 30 ms and more
        gc.collect()
        gc.freeze()
        yield services


def _prepare(config: ServeConfig, settings: Settings) -> KeyRing:
    """Check the configuration and make the directory; the server's keys."""
    keys = open_keys(config.data, settings.server_key)
    check_exposure(config, keys)
    make_data_directory(config.data)
    logger.info("keys, jobs and videos are kept in %s", config.data)
    if is_open_to_others(config.data):
        logger.warning("others may look into it; chmod 700 %s ends that", config.data)
    return keys


def _run(
    server: GracefulServer,
    listening: list[socket.socket],
    startup_errors: Sequence[MultiTalkError],
) -> None:
    """Run until a signal comes, and end the process in time."""
    try:
        server.run(sockets=listening)
    except SystemExit as error:  # raised by uvicorn where the application does not start
        if startup_errors:
            raise startup_errors[0] from error
        raise
    finally:
        end_process_in_time()


def _supervisor(services: Services, command: Sequence[str], workers: int) -> Supervisor:
    return Supervisor(
        command,
        workers,
        on_exit=services.queue.mark_worker_dead,
        running=services.own_workers,
        forced=services.shutdown.forced,
    )


def _housekeeping(services: Services, metrics: Metrics) -> Housekeeping:
    queue, database = services.queue, services.database
    webhooks = Webhooks(
        queue,
        database,
        services.replies,
        secret=services.secret,
        metrics=metrics,
        post=public_poster(services.settings),
    )
    return Housekeeping(queue, database, services.uploads, webhooks=webhooks, metrics=metrics)


@contextlib.contextmanager
def _collect_errors(errors: list[MultiTalkError]) -> Iterator[None]:
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


async def _report_ready(
    queue: JobQueue | None, shutdown: ShutdownState, on_ready: Callable[[], None]
) -> None:
    """Call `on_ready` when a queue has a worker, and once before if that takes a while.

    Without a queue it is called at once.
    """
    loop = asyncio.get_running_loop()
    wait_until: float | None = loop.time() + WORKER_WAIT_SECONDS
    while not (shutdown.requested.is_set() or queue is None or await _has_worker(queue)):
        if wait_until is not None and loop.time() > wait_until:
            logger.info("the server answers; no worker is ready yet")
            on_ready()
            wait_until = None
        await asyncio.sleep(POLL_SECONDS)
    if not shutdown.requested.is_set():
        on_ready()


async def _has_worker(queue: JobQueue) -> bool:
    try:
        return bool(await queue.workers())
    except QueueUnavailable:
        return False
