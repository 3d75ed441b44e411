"""The worker's process: queue, engine, then jobs until somebody says stop."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from multitalk.engines.base import Engine
from multitalk.job import sweep
from multitalk.job.self_test import check_engine, check_weights, check_work_directory
from multitalk.provenance import prepare
from multitalk.registry import load_engine
from multitalk.serving.queue import QueueConfig, open_queue
from multitalk.serving.worker.loop import STUCK_SECONDS, QueueWorker
from multitalk.settings import EngineChoice, Settings

STOPS = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger(__name__)


def work(
    queue_url: str,
    settings: Settings,
    *,
    engine: EngineChoice,
    drain_seconds: float,
    worker_id: str | None = None,
) -> int:
    """Load an engine and do jobs until SIGTERM or SIGINT.

    Args:
        queue_url: As for `open_queue`.
        settings: What the operator decided.
        engine: To render with.
        drain_seconds: How long the job at hand may still take when the worker is told to stop.
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
    prepare(settings)
    sweep(settings.work_directory)
    return serve(
        queue_url,
        settings,
        load=lambda: _ready(load_engine(engine, settings=settings), settings),
        drain_seconds=drain_seconds,
        worker_id=worker_id,
    )


def serve(
    queue_url: str,
    settings: Settings,
    *,
    load: Callable[[], Engine],
    queue_config: QueueConfig | None = None,
    drain_seconds: float,
    stuck_seconds: float = STUCK_SECONDS,
    worker_id: str | None = None,
) -> int:
    """Do jobs with an engine that `load` gives, in the thread in which it will be used."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def run() -> QueueWorker:
        stopping = asyncio.Event()
        queue = await open_queue(queue_url, queue_config)  # first: it fails sooner than the engine
        try:
            loop = asyncio.get_running_loop()
            worker = QueueWorker(
                queue,
                await loop.run_in_executor(thread, load),
                settings,
                worker_id=worker_id
                or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
                thread=thread,
                drain_seconds=drain_seconds,
                stuck_seconds=stuck_seconds,
            )

            def stop() -> None:
                if stopping.is_set():  # asked again
                    worker.stop_now()
                stopping.set()

            _obey(lambda: loop.call_soon_threadsafe(stop) if loop.is_running() else None)
            logger.info("worker ready")
            await worker.run(stopping)
        finally:
            await queue.close()
        return worker

    worker = asyncio.run(run())
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # it is ending: a second one must not kill it
    if worker.is_stuck:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(1)  # nothing else ends the engine's thread
    thread.submit(worker.close).result()
    thread.shutdown()
    return 1 if worker.is_broken else 0


def _obey(stop: Callable[[], object]) -> None:
    """Have SIGTERM and SIGINT call `stop`; the loop's own handlers would end with the loop."""
    for number in STOPS:
        signal.signal(number, lambda *_: stop())


def _ready(engine: Engine, settings: Settings) -> Engine:
    """An engine that was tried out."""
    if engine.name == "diffusion":
        check_weights(settings)
    check_engine(engine)
    return engine
