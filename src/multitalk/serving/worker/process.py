"""The worker's process: source, engine, then jobs until a signal to stop."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from multitalk.engines.base import Engine
from multitalk.engines.registry import load_engine
from multitalk.job import sweep
from multitalk.job.self_test import check_engine, check_weights, check_work_directory
from multitalk.provenance import load_credential
from multitalk.serving.queue import QueueConfig, open_queue
from multitalk.serving.worker.job_source import JobSource, SourceTraits
from multitalk.serving.worker.loop import EngineThread, WorkerLimits, WorkerLoop
from multitalk.settings import EngineChoice, Settings

STOPS = (signal.SIGTERM, signal.SIGINT)
OpenSource = Callable[[], AbstractAsyncContextManager[tuple[JobSource, SourceTraits]]]

logger = logging.getLogger(__name__)


def work(
    queue_url: str,
    settings: Settings,
    *,
    engine: EngineChoice,
    drain_seconds: float,
    worker_id: str | None = None,
) -> int:
    """Load an engine and do a queue's jobs until SIGTERM or SIGINT.

    Args:
        queue_url: As for `open_queue`.
        settings: What the operator decided.
        engine: To render with.
        drain_seconds: How long the current job may still take when the worker must stop.
        worker_id: Its name in the queue, new at each start; made here if None.

    Returns:
        The exit code: 0, or 1 if the engine broke, so that another process should take over.

    Raises:
        InvalidRequest: The URL is of no kind of queue.
        QueueUnavailable: It cannot be reached or used.
        EngineUnavailable: The engine cannot be loaded, or does not render.
        WorkerError: A job's files cannot be kept here.
        DeliveryFailed: Videos cannot be signed as the settings say.
    """
    check_work_directory(settings)
    load_credential(settings)
    sweep(settings.work_directory)
    return serve(
        lambda: open_queue_source(queue_url),
        EngineThread(lambda: _test_engine(load_engine(engine, settings=settings), settings)),
        settings,
        WorkerLimits(drain_seconds=drain_seconds),
        worker_id=worker_id,
    )


@asynccontextmanager
async def open_queue_source(
    queue_url: str, config: QueueConfig | None = None
) -> AsyncIterator[tuple[JobSource, SourceTraits]]:
    """Open a queue as a source of jobs; see `open_queue`."""
    queue = await open_queue(queue_url, config)
    try:
        yield queue, SourceTraits(queue)
    finally:
        await queue.close()


def serve(
    open_source: OpenSource,
    engine: EngineThread,
    settings: Settings,
    limits: WorkerLimits,
    *,
    worker_id: str | None = None,
) -> int:
    """Do the jobs of a source until SIGTERM or SIGINT.

    Args:
        open_source: Opened first: that fails sooner than an engine.
        engine: Loaded here if it is not.
        settings: What the operator decided.
        limits: On waiting.
        worker_id: As for `work`.

    Returns:
        The exit code, as for `work`. It does not return where the engine's thread hangs.
    """
    name = worker_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    worker = asyncio.run(_run(open_source, engine, settings, limits, worker_id=name))
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # it is ending: a second one must not kill it
    if worker.is_stuck:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # nothing else ends the engine's thread
    engine.close()
    return 1 if worker.is_broken else 0


async def _run(
    open_source: OpenSource,
    engine: EngineThread,
    settings: Settings,
    limits: WorkerLimits,
    *,
    worker_id: str,
) -> WorkerLoop:
    """Run a worker until a signal, or until it breaks."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with open_source() as (source, traits):
        await engine.load()
        worker = WorkerLoop(source, traits, engine, settings, limits, worker_id=worker_id)

        def stop() -> None:
            if stopping.is_set():  # the second signal
                worker.stop_now()
            stopping.set()

        _on_stop(lambda: loop.call_soon_threadsafe(stop) if loop.is_running() else None)
        logger.info("worker ready")
        await worker.run(stopping)
    return worker


def _on_stop(stop: Callable[[], object]) -> None:
    """Have SIGTERM and SIGINT call `stop`; the loop's own handlers would end with the loop."""
    for number in STOPS:
        signal.signal(number, lambda *_: stop())


def _test_engine(engine: Engine, settings: Settings) -> Engine:
    """An engine that renders."""
    if engine.name == "diffusion":
        check_weights(settings)
    check_engine(engine)
    return engine
