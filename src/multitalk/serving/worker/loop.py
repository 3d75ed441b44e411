"""Claims jobs, has them done, and tells what came of them.

The engine has a thread of its own; the event loop keeps the lease, so that it lasts however long a
step of the engine takes. A job that the engine does not let go of makes the worker end.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from multitalk.engines.base import Engine
from multitalk.errors import DiskUnusable, QueueUnavailable
from multitalk.serving.logs import RateLimitedLog
from multitalk.serving.queue import JobQueue, Lease, Outcome, WorkerRecord
from multitalk.serving.room import LOOK_SECONDS, Room
from multitalk.serving.worker.lease import LeaseKeeper
from multitalk.serving.worker.queue_client import FULL_SECONDS, QueueClient
from multitalk.serving.worker.task import Task
from multitalk.settings import Settings

# How long the engine may take to notice that it must stop: a step of the largest model, its
# weights streamed to the GPU, takes half a minute.
STUCK_SECONDS = 120.0
PATIENCE_SECONDS = 600.0  # for telling a result: a video has cost minutes, it is worth as many
CLAIM_SECONDS = 5.0
CHORES_SECONDS = 1.0
PAUSE_SECONDS = 1.0  # before a queue that could not be reached is tried again
MAX_PAUSE_SECONDS = 60.0  # the same after a store that was full, again and again
SETBACKS = 3  # attempts at a job that found no room where there is some: it needs more than that

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)


class QueueWorker:
    """Works on a queue until told to stop.

    Args:
        queue: Where the jobs are.
        engine: Ready to render; nothing else uses it.
        settings: The operator's limits and places.
        worker_id: Its own, new at each start.
        thread: In which the engine is used.
        stuck_seconds: Grace for the engine to stop.
        full_seconds: How long a result is held while the queue's store is full.

    Attributes:
        drain_seconds: How long the job at hand may still take once the worker is told to stop.
        is_broken: No further job can be done here.
        is_stuck: The engine's thread will never end.
    """

    def __init__(
        self,
        queue: JobQueue,
        engine: Engine,
        settings: Settings,
        *,
        worker_id: str,
        thread: ThreadPoolExecutor,
        drain_seconds: float,
        stuck_seconds: float = STUCK_SECONDS,
        full_seconds: float = FULL_SECONDS,
    ) -> None:
        self.drain_seconds = drain_seconds
        self.is_broken = False
        self.is_stuck = False
        self._queue = queue
        self._engine = engine
        self._settings = settings
        self._thread = thread
        self._stuck_seconds = stuck_seconds
        self._full_seconds = full_seconds
        self._room = Room(settings, queue.media.directory)
        self._log = RateLimitedLog(logger)
        self._pause = 0.0
        self._keeper: LeaseKeeper | None = None
        self._record = WorkerRecord(
            id=worker_id, engine=engine.name, host=socket.gethostname(), started_at=time.time()
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Take jobs until `stopping` is set, or nothing can be done here any more."""
        chores = asyncio.create_task(self._do_chores(stopping))
        try:
            while not (stopping.is_set() or self.is_broken):
                lease = await self._claim(stopping)
                if lease is not None:
                    self._say(job_id=lease.job.id)
                    await self._serve(lease, stopping)
                    self._say(job_id=None)
        finally:
            chores.cancel()
            await asyncio.wait({chores})
            with suppress(QueueUnavailable):
                await self._queue.leave(self._record.id)

    def stop_now(self) -> None:
        """Give the job at hand back at once, if the worker is told to stop."""
        self.drain_seconds = 0.0
        if self._keeper is not None:
            self._keeper.drain_seconds = 0.0

    def close(self) -> None:
        """Give the engine's memory back; to be called in its thread."""
        self._engine.close()

    async def _claim(self, stopping: asyncio.Event) -> Lease | None:
        """The next job; None where there is none, or none is wanted."""
        if not await self._room.is_there():
            await self._sleep(LOOK_SECONDS, stopping)
            return None
        claiming = asyncio.create_task(self._queue.claim(self._record.id, wait=CLAIM_SECONDS))
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait({claiming, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        claiming.cancel()  # no matter if it has ended
        await asyncio.wait({claiming})
        if claiming.cancelled():
            return None
        try:
            lease = claiming.result()
        except QueueUnavailable as error:
            self._log.warn("claim", f"no job could be claimed: {error}")
            await self._sleep(PAUSE_SECONDS, stopping)
            return None
        self._log.resolve("claim")
        return lease

    async def _serve(self, lease: Lease, stopping: asyncio.Event) -> None:
        """Do a job, and tell the queue what came of it, unless it is nobody's any more."""
        job_id = lease.job.id
        logger.info("job %s: claimed, attempt %d", job_id, lease.job.attempts)
        self._keeper = keeper = LeaseKeeper(
            self._queue,
            lease,
            stopping=stopping,
            drain_seconds=self.drain_seconds,
            stuck_seconds=self._stuck_seconds,
        )
        task = Task(
            lease,
            self._settings,
            QueueClient(self._queue, lease, keeper.cancelled, full_seconds=self._full_seconds),
            on_progress=keeper.update,
            cancelled=keeper.cancelled,
        )
        work = asyncio.get_running_loop().run_in_executor(self._thread, task.do, self._engine)
        await keeper.keep(work)
        self.is_stuck = not work.done()
        if self.is_stuck or task.engine_broke:
            logger.error("job %s: the engine is broken; this worker ends", job_id)
            self.is_broken = True
        outcome = work.result() if work.done() else None
        if not keeper.is_ours:
            logger.info("job %s: dropped, %s", job_id, keeper.why)
        elif outcome is None:
            logger.info("job %s: given back", job_id)
            await self._persist(lambda: self._queue.release(lease), f"job {job_id}: giving back")
        elif task.setback is not None:
            await self._yield_to(task.setback, lease, outcome, stopping)
        else:
            self._pause = 0.0
            await self._tell(lease, outcome)

    async def _yield_to(
        self,
        setback: DiskUnusable | QueueUnavailable,
        lease: Lease,
        outcome: Outcome,
        stopping: asyncio.Event,
    ) -> None:
        """Give a job back that found no room, or tell its end where more room will not help it.

        Its own files are gone by now. If there is room without them, the job may need more than
        there ever is: then it counts as an attempt, and `SETBACKS` of them are its end.
        """
        job_id = lease.job.id
        is_store = isinstance(setback, QueueUnavailable)
        has_room = await self._room.is_there()
        if is_store and self._queue.media.directory is None:
            has_room = setback.key != "queue_full"
        if has_room and lease.job.attempts >= SETBACKS:
            await self._tell(lease, outcome)
            return
        logger.warning("job %s: given back: %s", job_id, setback)
        await self._persist(
            lambda: self._queue.release(lease, counted=has_room), f"job {job_id}: giving back"
        )
        if is_store:
            self._pause = min(max(2 * self._pause, PAUSE_SECONDS), MAX_PAUSE_SECONDS)
            await self._sleep(self._pause, stopping)

    async def _sleep(self, seconds: float, stopping: asyncio.Event) -> None:
        """Wait so long, or until the worker is told to stop."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)

    async def _tell(self, lease: Lease, outcome: Outcome) -> None:
        job_id = lease.job.id
        told = await self._persist(
            lambda: self._queue.finish(lease, outcome), f"job {job_id}: telling its end"
        )
        if told:
            reason = f": {outcome.error}" if outcome.error else ""
            logger.info("job %s: %s%s", job_id, outcome.status.value, reason.replace("\n", "; "))
        elif told is False:
            logger.warning("job %s: its lease was lost, so what was made is dropped", job_id)

    async def _persist(self, ask: Callable[[], Awaitable[Answer]], what: str) -> Answer | None:
        """Ask the queue something until it can be reached; None when patience ends."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = await ask()
                self._log.resolve(what)
                return answer
            except QueueUnavailable as error:
                self._log.warn(what, f"{what}: {error}")
                if time.monotonic() > ends:
                    return None
            await asyncio.sleep(PAUSE_SECONDS)

    async def _do_chores(self, stopping: asyncio.Event) -> None:
        """Say that the worker is there, and do what is due in the queue."""
        is_reached = True
        while True:
            try:
                draining = self._record.model_copy(update={"draining": stopping.is_set()})
                await self._queue.announce(draining)
                await self._queue.sweep()
                is_reached = True
            except QueueUnavailable as error:
                if is_reached:
                    logger.warning("the queue cannot be reached: %s", error)
                is_reached = False
            await asyncio.sleep(CHORES_SECONDS)

    def _say(self, *, job_id: str | None) -> None:
        """What the worker is at; told with the next chores."""
        self._record = self._record.model_copy(update={"job_id": job_id})
