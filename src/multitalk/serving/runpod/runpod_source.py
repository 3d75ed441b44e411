"""RunPod's platform as the source of a worker's jobs."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from typing_extensions import override

from multitalk.errors import DeliveryFailed, QueueUnavailable
from multitalk.net.retry import backoff, retry_async
from multitalk.schema import wanted_locale
from multitalk.schema.json_document import to_json
from multitalk.serving.queue import Job, Lease, Outcome, Policy, Stop, Submission, WorkerRecord
from multitalk.serving.runpod.platform import Platform, PlatformBusy, Refused
from multitalk.serving.worker.job_source import JobSource, SourceTraits

HELD_SECONDS = 0.5  # a poll that lasts as long was held by the platform
EMPTY_DELAY_SECONDS = 0.5  # after an empty answer that was not held
MAX_DELAY_SECONDS = 15.0
BUSY_DELAY_SECONDS = 5.0  # after "too many requests", as in the SDK
# An answer that is on its way when the worker must stop may hold a job, given to no other worker.
LAST_ANSWER_SECONDS = 0.3
PROGRESS_SECONDS = 5.0  # for a post of progress
FRAGMENT_SECONDS = 60.0  # for which a fragment is posted
FIRST_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 20.0
TOO_LARGE = (400, 413)  # what a platform may answer to a body that is too large for it

TRAITS = SourceTraits(
    progress_seconds=1.0,
    renew_seconds=0.25,  # costs nothing: stop signals come by themselves
    max_retry_seconds=MAX_RETRY_SECONDS,
    takes_back=False,
    is_freed_by_exit=True,
)

logger = logging.getLogger(__name__)


class Heartbeats(Protocol):
    """The jobs that heartbeats name, which keeps their leases."""

    def add(self, job_id: str) -> object:
        """Name a job from now on."""

    def remove(self, job_id: str) -> object:
        """Name it no more."""


class RunPodSource(JobSource):
    """RunPod's jobs, one at a time. Made by `open_source`.

    A lease is kept by heartbeats, which another process sends. Stop signals are polled for.

    Args:
        platform: To call.
        heartbeats: The jobs that they name.
        is_streamed: Whether videos are sent as fragments.
    """

    def __init__(self, platform: Platform, heartbeats: Heartbeats, *, is_streamed: bool) -> None:
        self._platform = platform
        self._heartbeats = heartbeats
        self._is_streamed = is_streamed
        self._given: deque[Lease] = deque()  # given out together with another one
        self._named: set[str] = set()  # by heartbeats
        self._stopped: set[str] = set()
        self._posting: asyncio.Task[None] | None = None  # of progress
        self._is_leaving = False
        self._delay = PollDelay()

    @override
    async def claim(self, worker_id: str, *, wait: float) -> Lease | None:
        """Poll for a job once; the platform decides how long that takes."""
        self._forget_all_but_given()
        if self._given:
            return self._given.popleft()
        await asyncio.sleep(self._delay.seconds)
        taking = asyncio.create_task(self._take())
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait({taking}, timeout=LAST_ANSWER_SECONDS)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            if not self._given:
                raise
        return self._given.popleft() if self._given else None

    @override
    async def renew(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Stop | None:
        """Post progress, without waiting for it; heartbeats keep the lease."""
        if lease.job.id in self._stopped:
            return "cancelled"
        is_free = self._posting is None or self._posting.done()
        if progress is not None and is_free:  # else the next progress says more
            self._posting = asyncio.create_task(self._post_progress(lease.job.id, progress))
        return None

    @override
    async def add_fragment(self, lease: Lease, output: Mapping[str, Any]) -> bool:
        """Post a part of a stream, or the record after the last one.

        Raises:
            DeliveryFailed: The platform does not take it, so the stream has a hole.
        """
        job_id, body = lease.job.id, to_json({"output": output})
        try:
            await retry_async(
                lambda: self._platform.post("stream", job_id, body),
                on=QueueUnavailable,
                delays=backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, seconds=FRAGMENT_SECONDS),
                on_retry=lambda error, delay: logger.warning(
                    "job %s: posting again in %g s: %s", job_id, delay, error
                ),
            )
        except (QueueUnavailable, Refused) as error:
            raise DeliveryFailed("stream_broken") from error
        return True

    @override
    async def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """Post the result once. A final refusal is only logged: no other worker could change it."""
        await self._end_progress()
        job_id, is_stream = lease.job.id, lease.submission.stream
        body = _result(outcome, is_stream=is_stream, stop_pod=self._is_leaving)
        try:
            await self._platform.post("done", job_id, body, is_stream=is_stream)
        except Refused as refused:
            logger.error("job %s: the platform refused its result: %s", job_id, refused)
            if refused.status in TOO_LARGE and outcome.error is None:
                error = DeliveryFailed("result_refused", size=len(body) / 1e6)
                error.set_context("deliver", job_id)
                return await self.finish(lease, Outcome.failed(error, lease.job.locale))
            self._forget_all_but_given()
            return False
        self._forget_all_but_given()
        return True

    @override
    async def release(self, lease: Lease, *, counted: bool = False) -> None:
        """Nothing: a job without an answer goes to another worker when heartbeats end."""

    @override
    async def announce(self, worker: WorkerRecord) -> None:
        """Give back the jobs that a worker will not do any more; heartbeats announce others.

        The platform gives a job to another worker when no heartbeat names it for a while. Those
        that came together with the current job would otherwise wait until that has ended.
        """
        if worker.draining:
            for lease in self._given:
                self._heartbeats.remove(lease.job.id)
                self._named.discard(lease.job.id)
            self._given.clear()

    @override
    async def leave(self, worker_id: str) -> None:
        """Have a result that follows ask for another worker in this one's place (`stopPod`)."""
        self._is_leaving = True

    @override
    async def sweep(self) -> None:
        """Nothing is due."""

    async def watch_stop_signals(self) -> None:
        """Note jobs that the platform takes back, until cancelled."""
        delay = PollDelay()
        while self._platform.has_stop_signals:
            await asyncio.sleep(delay.seconds)
            with suppress(QueueUnavailable), delay:
                stops = await self._platform.stop_signals()
                self._stopped.update(self._named.intersection(stops))
                if stops:
                    delay.reset()

    async def _take(self) -> None:
        """Ask for jobs once.

        Raises:
            QueueUnavailable: As the platform.
        """
        with self._delay:
            given = await self._platform.take_jobs()
            for job in given:
                if not _is_job(job):
                    logger.error("the platform gave something that is no job: %.200r", job)
                elif job["id"] not in self._named:  # given twice in one answer, it runs once
                    self._named.add(job["id"])
                    self._heartbeats.add(job["id"])
                    self._given.append(lease_of(job, is_stream=self._is_streamed))
            if self._given:
                self._delay.reset()

    def _forget_all_but_given(self) -> None:
        """Let heartbeats name only jobs that are still to be done."""
        still = {lease.job.id for lease in self._given}
        for job_id in self._named - still:
            self._heartbeats.remove(job_id)
        self._named &= still
        self._stopped &= still

    async def _post_progress(self, job_id: str, progress: Mapping[str, Any]) -> None:
        """Try once."""
        body = to_json({"status": "IN_PROGRESS", "output": progress})
        try:
            await self._platform.post("done", job_id, body, seconds=PROGRESS_SECONDS)
        except (QueueUnavailable, Refused) as error:
            logger.info("job %s: progress was not taken: %s", job_id, error)

    async def _end_progress(self) -> None:
        """See that no progress follows the result."""
        if self._posting is not None:
            await asyncio.wait({self._posting}, timeout=PROGRESS_SECONDS)
            self._posting.cancel()
            self._posting = None


class PollDelay:
    """Delay of the next poll: none after a held poll, ever longer after failures.

    Attributes:
        seconds: To wait before the next poll.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._asked_at = 0.0
        self._is_reset = False

    def __enter__(self) -> None:
        self._asked_at = time.monotonic()
        self._is_reset = False

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._is_reset or time.monotonic() - self._asked_at >= HELD_SECONDS:
            self.seconds = 0.0
        elif kind is None:
            self.seconds = EMPTY_DELAY_SECONDS
        elif issubclass(kind, PlatformBusy):
            self.seconds = BUSY_DELAY_SECONDS
        else:
            self.seconds = min(max(2 * self.seconds, EMPTY_DELAY_SECONDS), MAX_DELAY_SECONDS)

    def reset(self) -> None:
        """There was something: poll again at once."""
        self._is_reset = True


@asynccontextmanager
async def open_source(
    platform: Platform, heartbeats: Heartbeats, *, is_streamed: bool
) -> AsyncIterator[RunPodSource]:
    """A source whose stop signals are watched while the context is open."""
    source = RunPodSource(platform, heartbeats, is_streamed=is_streamed)
    watching = asyncio.create_task(source.watch_stop_signals())
    try:
        yield source
    finally:
        watching.cancel()
        await asyncio.wait({watching})


def lease_of(job: Mapping[str, Any], *, is_stream: bool) -> Lease:
    """A job as the platform gives it: `id`, `input` and perhaps `policy` and `s3Config`.

    Nothing in it is checked here: the task does that, and answers.
    """
    now = time.time()
    return Lease.model_construct(
        job=Job.model_construct(
            id=job["id"],
            locale=wanted_locale(job["input"]),
            created_at=now,
            queued_at=now,
            attempts=1,
        ),
        submission=Submission.model_construct(
            input=job["input"],
            s3_config=job.get("s3Config"),
            stream=is_stream,
            policy=Policy.model_construct(execution_seconds=_execution_seconds(job.get("policy"))),
        ),
        token="",
        seconds=math.inf,
    )


def _execution_seconds(policy: object) -> float:
    """The job's own limit; the platform leaves it to the worker to notice."""
    limit = policy.get("executionTimeout") if isinstance(policy, Mapping) else None
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return math.inf
    return limit / 1000 if limit > 0 else math.inf


def _is_job(job: object) -> bool:
    return isinstance(job, dict) and isinstance(job.get("id"), str) and "input" in job


def reply_of(outcome: Outcome) -> dict[str, Any]:
    """The job's `output`.

    Its error is also its `message`: the platform and the SDK take `error` out of the output, and
    RunPod's Python client hands out the output only.
    """
    output = dict(outcome.output or {})
    return output if outcome.error is None else {"message": outcome.error, **output}


def _result(outcome: Outcome, *, is_stream: bool, stop_pod: bool) -> bytes:
    """A job-done body in the form of the SDK: `error` beside the rest as `output`."""
    output = reply_of(outcome)
    body: dict[str, Any] = {"output": [] if is_stream and not output else output}
    if outcome.error is not None:
        body["error"] = outcome.error
    if stop_pod:
        body["stopPod"] = True
    return to_json(body)
