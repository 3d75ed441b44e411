"""Claims jobs, has them done, and reports what became of them, whatever the source.

The engine has its own thread; the event loop keeps the lease, so that it lasts however long a
step of the engine takes. An engine that does not stop ends the worker.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from multitalk.disk import check_free_space
from multitalk.engines.base import Engine
from multitalk.errors import DiskUnusable, EngineBroken, NotFound, QueueUnavailable
from multitalk.job.self_test import check_work_directory
from multitalk.net.retry import backoff, retry_async
from multitalk.serving.logs import RateLimitedLog
from multitalk.serving.queue import Lease, Outcome, WorkerRecord
from multitalk.serving.repeat import repeat
from multitalk.serving.worker.job_source import FULL_SECONDS, JobSource, SourceClient, SourceTraits
from multitalk.serving.worker.lease import LeaseKeeper
from multitalk.serving.worker.run_job import JobEnd, run_job
from multitalk.settings import Settings

# How long the engine may take to notice that it must stop: a step of the largest model, its
# weights streamed to the GPU, takes half a minute.
STUCK_SECONDS = 120.0
RESULT_SECONDS = 600.0  # for which a result is sent: a video has cost minutes, it is worth as many
CLAIM_SECONDS = 5.0
CHORES_SECONDS = 1.0
PAUSE_SECONDS = 1.0  # before a source that could not be reached is tried again
MAX_PAUSE_SECONDS = 60.0  # after a store that was full, again and again
DISK_SECONDS = 1.0  # from one look at a disk without room to the next
FIRST_RETRY_SECONDS = 0.5
SETBACKS = 3  # attempts at a job that found no room where there is some: it needs more than that
# Workers claim no job while free space is below this share of the server's reserve.
RESULTS_SHARE = 0.25

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)


class EngineThread:
    """An engine, and the only thread that uses it.

    Args:
        load: Returns the engine.
    """

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The loaded engine."""
        if self._engine is None:
            raise ValueError("no engine is loaded")
        return self._engine

    async def load(self) -> None:
        """Load the engine in its thread, unless that was done."""
        if self._engine is None:
            loop = asyncio.get_running_loop()
            self._engine = await loop.run_in_executor(self._executor, self._load)

    def run(self, work: Callable[[Engine], Answer]) -> "asyncio.Future[Answer]":
        """Do something with the engine in its thread."""
        return asyncio.get_running_loop().run_in_executor(self._executor, work, self.engine)

    def close(self) -> None:
        """Free the engine's memory and end the thread."""
        if self._engine is not None:
            self._executor.submit(self._engine.close).result()
        self._executor.shutdown()


@dataclass(frozen=True)
class WorkerLimits:
    """Limits on a worker's waiting.

    Attributes:
        drain_seconds: For the current job once the worker must stop.
        stuck_seconds: For the engine to stop.
        result_seconds: For the source to take a result.
        full_seconds: For a full store to take a file.
    """

    drain_seconds: float = math.inf
    stuck_seconds: float = STUCK_SECONDS
    result_seconds: float = RESULT_SECONDS
    full_seconds: float = FULL_SECONDS


class WorkerLoop:
    """Does the jobs of a source.

    Args:
        source: Of the jobs.
        traits: Of the source.
        engine: Ready to render.
        settings: The operator's limits and places.
        limits: On waiting.
        worker_id: Its own, new at each start.

    Attributes:
        is_broken: No further job can be done here.
        is_stuck: The engine's thread will never end.
    """

    def __init__(
        self,
        source: JobSource,
        traits: SourceTraits,
        engine: EngineThread,
        settings: Settings,
        limits: WorkerLimits,
        *,
        worker_id: str,
    ) -> None:
        self.is_broken = False
        self.is_stuck = False
        self._source = source
        self._traits = traits
        self._engine = engine
        self._settings = settings
        self._limits = limits
        self._disks = DiskCheck(settings, traits.queue.media.directory if traits.queue else None)
        self._log = RateLimitedLog(logger)
        self._pause = 0.0
        self._keeper: LeaseKeeper | None = None
        self._record = WorkerRecord(
            id=worker_id,
            engine=engine.engine.name,
            host=socket.gethostname(),
            started_at=time.time(),
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Take jobs until `stopping` is set, or nothing can be done here any more."""
        chores = asyncio.create_task(
            repeat("chores", CHORES_SECONDS, lambda: self._do_chores(stopping), self._log)
        )
        try:
            while not (stopping.is_set() or self.is_broken):
                lease = await self._claim(stopping)
                if lease is not None:
                    self._record = self._record.model_copy(update={"job_id": lease.job.id})
                    await self._do(lease, stopping)
                    self._record = self._record.model_copy(update={"job_id": None})
        finally:
            chores.cancel()
            await asyncio.wait({chores})
            with suppress(QueueUnavailable):
                await self._source.leave(self._record.id)

    def stop_now(self) -> None:
        """Release the current job at once, where the source takes it back."""
        if self._traits.takes_back:
            self._limits = replace(self._limits, drain_seconds=0.0)
            if self._keeper is not None:
                self._keeper.drain_seconds = 0.0

    async def _do(self, lease: Lease, stopping: asyncio.Event) -> None:
        """Do a job, and report its end, unless the source does not want it any more."""
        job_id = lease.job.id
        logger.info("job %s: claimed, attempt %d", job_id, lease.job.attempts)
        seconds = min(self._settings.job_seconds, lease.submission.policy.execution_seconds)
        settings = replace(self._settings, job_seconds=seconds)
        self._keeper = keeper = LeaseKeeper(
            self._source,
            self._traits,
            lease,
            stopping=stopping,
            job_seconds=seconds,
            drain_seconds=self._limits.drain_seconds,
            stuck_seconds=self._limits.stuck_seconds,
        )
        client = SourceClient(
            self._source,
            self._traits.queue,
            lease,
            keeper.cancelled,
            full_seconds=self._limits.full_seconds,
        )
        work = self._engine.run(
            lambda engine: run_job(
                engine,
                lease,
                settings,
                client,
                on_progress=keeper.update,
                cancelled=keeper.cancelled,
            )
        )
        await keeper.keep(work)
        if work.done():
            end = work.result()
        elif keeper.why == "drained":
            self.is_stuck = True
            end = JobEnd(None)
        else:
            self.is_stuck = True
            end = JobEnd(Outcome.failed(EngineBroken("engine_stuck"), lease.job.locale))
        await self._note_breakage(end, job_id)
        if not keeper.is_wanted:
            logger.info("job %s: dropped, %s", job_id, keeper.why)
        elif end.outcome is None:
            logger.info("job %s: released", job_id)
            await self._release(lease, counted=False)
        elif end.setback is not None and self._traits.takes_back:
            await self._release_after(end.setback, lease, end.outcome, stopping)
        else:
            self._pause = 0.0
            await self._finish(lease, end.outcome)
        await self._remove_files_of_deleted(job_id)

    async def _remove_files_of_deleted(self, job_id: str) -> None:
        """Remove a job's files if it was deleted: one may have been on its way to the store."""
        queue = self._traits.queue
        if queue is None:
            return
        with suppress(QueueUnavailable):  # `sweep` removes them, later
            try:
                await queue.get(job_id)
            except NotFound:
                await queue.media.remove_job(job_id)

    async def _note_breakage(self, end: JobEnd, job_id: str) -> None:
        """Decide whether another job can be done here."""
        if self.is_stuck:
            reason = "the engine does not stop"
        elif end.engine_broke:
            reason = "the engine is broken"
        elif isinstance(end.setback, DiskUnusable) and not self._traits.takes_back:
            reason = "no room for its files"
        else:
            return
        logger.error("job %s: %s; this worker ends", job_id, reason)
        self.is_broken = True
        with suppress(QueueUnavailable):
            await self._source.leave(self._record.id)

    async def _claim(self, stopping: asyncio.Event) -> Lease | None:
        """The next job; None if there is none, or none is wanted."""
        if not await self._disks.have_room():
            await self._sleep(DISK_SECONDS, stopping)
            return None
        claiming = asyncio.create_task(self._source.claim(self._record.id, wait=CLAIM_SECONDS))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({claiming, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        claiming.cancel()  # no effect if it has ended
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

    async def _release_after(
        self,
        setback: DiskUnusable | QueueUnavailable,
        lease: Lease,
        outcome: Outcome,
        stopping: asyncio.Event,
    ) -> None:
        """Release a job that found no room, or report its end where more room will not help it.

        The job's files are deleted already. If the disk now has room, the job itself may be too
        large, so this counts as an attempt. After `SETBACKS` attempts the job ends.
        """
        is_store = isinstance(setback, QueueUnavailable)
        has_room = await self._disks.have_room()
        if is_store and self._traits.queue and self._traits.queue.media.directory is None:
            has_room = setback.key != "queue_full"
        if has_room and lease.job.attempts >= SETBACKS:
            await self._finish(lease, outcome)
            return
        logger.warning("job %s: released: %s", lease.job.id, setback)
        await self._release(lease, counted=has_room)
        if is_store:
            self._pause = min(max(2 * self._pause, PAUSE_SECONDS), MAX_PAUSE_SECONDS)
            await self._sleep(self._pause, stopping)

    async def _release(self, lease: Lease, *, counted: bool) -> None:
        with suppress(QueueUnavailable):  # its lease ends without us
            await self._persist(
                lambda: self._source.release(lease, counted=counted),
                f"job {lease.job.id}: releasing",
            )

    async def _finish(self, lease: Lease, outcome: Outcome) -> None:
        job_id = lease.job.id
        try:
            is_taken = await self._persist(
                lambda: self._source.finish(lease, outcome),
                f"job {job_id}: reporting its end",
            )
        except QueueUnavailable:
            logger.error(
                "job %s: its result was not taken in %g s", job_id, self._limits.result_seconds
            )
            if self._traits.is_freed_by_exit:
                logger.error("job %s: this worker ends, so that another gets the job", job_id)
                self.is_broken = True
            return
        if is_taken:
            reason = f": {outcome.error}" if outcome.error else ""
            logger.info("job %s: %s%s", job_id, outcome.status.value, reason.replace("\n", "; "))
        else:
            logger.warning("job %s: its lease was lost, so what was made is dropped", job_id)

    async def _persist(self, call: Callable[[], Awaitable[Answer]], what: str) -> Answer:
        """Call the source until it answers.

        Raises:
            QueueUnavailable: It did not for `result_seconds`.
        """
        answer = await retry_async(
            call,
            on=QueueUnavailable,
            delays=backoff(
                FIRST_RETRY_SECONDS,
                self._traits.max_retry_seconds,
                seconds=self._limits.result_seconds,
            ),
            on_retry=lambda error, _: self._log.warn(what, f"{what}: {error}"),
        )
        self._log.resolve(what)
        return answer

    async def _sleep(self, seconds: float, stopping: asyncio.Event) -> None:
        """Wait so long, or until the worker must stop."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)

    async def _do_chores(self, stopping: asyncio.Event) -> None:
        """Announce the worker, and let the source expire leases and jobs."""
        record = self._record.model_copy(update={"draining": stopping.is_set()})
        await self._source.announce(record)
        await self._source.sweep()


class DiskCheck:
    """Whether there is room for one more job, checked before each is claimed.

    Args:
        settings: With the work directory, and how large a job's files may be.
        results: Where results are stored, if that is a directory of this machine.
    """

    def __init__(self, settings: Settings, results: Path | None) -> None:
        self._settings = settings
        self._results = results
        self._log = RateLimitedLog(logger)

    async def have_room(self) -> bool:
        """Whether a job's files and its result could be stored; logged once a minute if not."""
        try:
            await asyncio.to_thread(self._check)
        except DiskUnusable as error:
            self._log.warn("room", f"no job is taken: {error}")
            return False
        self._log.resolve("room", "there is room again: jobs are taken")
        return True

    def _check(self) -> None:
        check_work_directory(self._settings)
        if self._results is not None:
            check_free_space(self._results, share=RESULTS_SHARE)
