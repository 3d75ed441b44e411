"""A stand-in for RunPod's platform, on loopback: both sides of an endpoint, and what goes wrong.

Towards workers it speaks what the pinned SDK calls (read in its source and seen on the socket):
GET job-take, job-take-batch and job-stop as long polls, GET ping as the heartbeat that keeps a
lease, POST job-done for progress and results, POST job-stream for pieces. Towards clients: run,
runsync, status, stream, cancel. Every request is kept as it came. `Faults` are its knobs.
"""

import asyncio
import json
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import web
from faults import Faults
from platform_job import FINAL, PlatformJob, Post

from patience import PATIENCE_SECONDS

WORKER_KEY = "worker-key"
CLIENT_KEY = "client-key"
ENDPOINT = "endpoint"
REAP_SECONDS = 0.1
MAX_BODY_BYTES = 200 * 2**20

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One request as it came: when, by the monotonic clock, and what."""

    at: float
    method: str
    route: str
    worker: str
    query: dict[str, str]


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


class ControlPlane:
    """The platform; `with ControlPlane() as plane:` runs it on a port of its own.

    Args:
        poll_seconds: How long an empty long poll is held.
        lease_seconds: Without a heartbeat that names it for so long, a job is given to another
            worker; None for ever keeps it.
        max_deliveries: After so many lost workers a job has FAILED.

    Attributes:
        jobs: All that were submitted, by id.
        calls: Every request so far.
        faults: The knobs.
    """

    def __init__(
        self,
        *,
        poll_seconds: float = 2.0,
        lease_seconds: float | None = None,
        max_deliveries: int = 2,
    ) -> None:
        self.jobs: dict[str, PlatformJob] = {}
        self.calls: list[Call] = []
        self.faults = Faults()
        self._poll_seconds = poll_seconds
        self._lease_seconds = lease_seconds
        self._max_deliveries = max_deliveries
        self._queue: deque[PlatformJob] = deque()
        self._stops: dict[str, list[str]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0

    def __enter__(self) -> "ControlPlane":
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # For tests -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What a client takes for RunPod's address."""
        return f"http://127.0.0.1:{self._port}/v2"

    def environment(self, worker: str = "worker-1") -> dict[str, str]:
        """What RunPod sets in a worker's environment."""
        base = f"{self.url}/{ENDPOINT}"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=none",
            "RUNPOD_AI_API_KEY": WORKER_KEY,
            "RUNPOD_POD_ID": worker,
            "RUNPOD_PING_INTERVAL": "1000",
        }

    def submit(self, job_input: object, **envelope: object) -> PlatformJob:
        """Queue a job; `envelope` holds what may stand beside its input, such as `policy`."""
        return self._call(lambda: self._add({"input": job_input, **envelope}))

    def cancel(self, job: PlatformJob) -> None:
        """As a client's cancel."""
        self._call(lambda: self._cancel(job))

    def calls_of(self, route: str, *, since: float = 0.0) -> list[Call]:
        """Requests of one kind, such as `ping`, since a moment."""
        return [call for call in list(self.calls) if call.route == route and call.at >= since]

    def wait_for(
        self, route: str, *, worker: str | None = None, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait for a request of this kind that is not there yet."""
        seen = len(self.calls)
        deadline = time.monotonic() + seconds
        while not any(
            call.route == route and worker in (None, call.worker) for call in self.calls[seen:]
        ):
            assert time.monotonic() < deadline, f"no {route} within {seconds} s"
            time.sleep(0.02)

    def go_down(self) -> None:
        """Refuse connections, and break those that are open."""
        self._run(self._close_site())

    def come_up(self) -> None:
        """Listen again, at the same port."""
        self._run(self._open_site())

    # The server ----------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    def _call(self, work: Callable[[], T]) -> T:
        async def call() -> T:
            result = work()
            await self._wake()
            return result

        return self._run(call())

    async def _start(self) -> None:
        self._changed = asyncio.Condition()
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._admit])
        worker, endpoint = "{worker}", f"/v2/{ENDPOINT}"
        application.add_routes(
            [
                web.get(f"{endpoint}/job-take/{worker}", self._take),
                web.get(f"{endpoint}/job-take-batch/{worker}", self._take),
                web.get(f"{endpoint}/job-stop/{worker}", self._stop),
                web.get(f"{endpoint}/ping/{worker}", self._ping),
                web.post(f"{endpoint}/job-done/{worker}/{{job}}", self._done),
                web.post(f"{endpoint}/job-stream/{worker}/{{job}}", self._stream_in),
                web.post(f"{endpoint}/run", self._public_run),
                web.post(f"{endpoint}/runsync", self._public_run),
                web.get(f"{endpoint}/status/{{job}}", self._public_status),
                web.get(f"{endpoint}/stream/{{job}}", self._public_stream),
                web.post(f"{endpoint}/cancel/{{job}}", self._public_cancel),
            ]
        )
        # A poll whose worker has hung up must not be given a job.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        await self._open_site()
        self._reaper = asyncio.create_task(self._reap())

    async def _open_site(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def _close_site(self) -> None:
        await self._site.stop()
        for connection in self._runner.server.connections:  # type: ignore[union-attr]
            if connection.transport is not None:
                connection.transport.abort()

    async def _end(self) -> None:
        self._reaper.cancel()
        await self._close_site()
        await self._runner.cleanup()
        await asyncio.sleep(0.05)  # for connections that were just closed to let go of sockets

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _held(self, ready: Callable[[], object]) -> None:
        """Hold a long poll until something is there."""
        if self.faults.instant_empty:
            return
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(ready), self._poll_seconds)
            except asyncio.TimeoutError:
                return

    @web.middleware
    async def _admit(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        route = request.path.split("/")[3]
        worker = request.match_info.get("worker", "")
        query = dict(request.query)
        self.calls.append(Call(time.monotonic(), request.method, route, worker, query))
        expected = WORKER_KEY if worker else f"Bearer {CLIENT_KEY}"
        if request.headers.get("Authorization") != expected:
            return web.json_response({"error": "unauthorized"}, status=401)
        return await handler(request)

    async def _reap(self) -> None:
        """Take jobs from workers that are gone, and end those that took too long."""
        while True:
            await asyncio.sleep(REAP_SECONDS)
            now = time.monotonic()
            for job in [job for job in self.jobs.values() if job.status == "IN_PROGRESS"]:
                policy = job.body.get("policy")
                limit = policy.get("executionTimeout") if isinstance(policy, dict) else None
                if self.faults.forget_timeouts:
                    limit = None
                if limit is not None and 1000 * (now - job.taken) > limit:
                    self._stops[job.deliveries[-1]].append(job.id)
                    job.end("TIMED_OUT", error="job timed out after exceeding executionTimeout")
                elif self._lease_seconds is not None and now - job.seen > self._lease_seconds:
                    if len(job.deliveries) >= self._max_deliveries:
                        job.end("FAILED", error="the worker was lost")
                    else:
                        job.status = "IN_QUEUE"
                        self._queue.append(job)
            await self._wake()

    # Towards workers -----------------------------------------------------------------------------

    async def _take(self, request: web.Request) -> web.StreamResponse:
        faults = self.faults
        if faults.take_answers:
            status, text = faults.take_answers.popleft()
            return web.Response(status=status, text=text, content_type="application/json")
        if faults.drop_polls:
            faults.drop_polls -= 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        await self._held(lambda: self._queue)
        wanted = int(request.query.get("batch_size", faults.jobs_at_once))
        given: list[dict[str, object]] = []
        while self._queue and len(given) < wanted:
            job = self._queue.popleft()
            if job.status != "IN_QUEUE":
                continue
            job.status = "IN_PROGRESS"
            job.taken = job.seen = time.monotonic()
            job.deliveries.append(request.match_info["worker"])
            given.append(job.body)
            if faults.duplicate_take:
                faults.duplicate_take -= 1
                self._queue.append(PlatformJob(job.id, job.body))
            if faults.duplicate_in_batch:
                faults.duplicate_in_batch -= 1
                return web.json_response([job.body, job.body])
            if faults.junk_beside:
                faults.junk_beside -= 1
                return web.json_response(
                    ["junk", 5, {"input": {}}, {"id": 7, "input": {}}, job.body]
                )
        if not given:
            return web.Response(status=204)
        is_list = "batch" in request.path or faults.jobs_at_once > 1
        return web.json_response(given if is_list else given[0])

    async def _stop(self, request: web.Request) -> web.Response:
        worker = request.match_info["worker"]
        await self._held(lambda: self._stops[worker])
        stops = self._stops.pop(worker, [])
        return web.json_response({"jobsToStop": stops}) if stops else web.Response(status=204)

    async def _ping(self, request: web.Request) -> web.Response:
        for job_id in request.query.get("job_id", "").split(","):
            job = self.jobs.get(job_id)
            if job is not None and job.deliveries[-1:] == [request.match_info["worker"]]:
                job.seen = time.monotonic()
        return web.Response(text="ok")

    async def _done(self, request: web.Request) -> web.Response:
        faults, text = self.faults, await request.text()
        job = self.jobs.get(request.match_info["job"])
        if job is None:
            return web.Response(status=404)
        body = json.loads(text, parse_constant=_refuse_constant)
        if body.get("status") == "IN_PROGRESS":
            await asyncio.sleep(faults.progress_delay)
            if faults.late_progress:
                await asyncio.shield(self._record_late(request, job, body))
                return web.Response()
        elif faults.fail_done:
            faults.fail_done -= 1
            return web.Response(status=500)
        elif faults.refuse_bytes is not None and len(text) > faults.refuse_bytes:
            return web.Response(status=413)
        elif faults.drop_final:
            faults.drop_final -= 1
            return web.Response()
        self._record(request, job, body)
        await self._wake()
        return web.Response()

    async def _record_late(
        self, request: web.Request, job: PlatformJob, body: dict[str, object]
    ) -> None:
        async def later() -> None:
            while job.status not in FINAL:
                await asyncio.sleep(0.01)
            self._record(request, job, body)

        self._late = asyncio.create_task(later())

    def _record(self, request: web.Request, job: PlatformJob, body: dict[str, object]) -> None:
        post = Post(
            at=time.monotonic(),
            body=body,
            is_stream=request.query["isStream"] == "true",
            content_type=request.content_type,
            request_id=request.headers.get("X-Request-ID"),
            worker=request.match_info["worker"],
            status_before=job.status,
        )
        job.posts.append(post)
        job.seen = post.at
        if job.status != "IN_PROGRESS":
            return
        if post.is_progress:
            job.output = body["output"]
        else:
            error = body.get("error")
            job.end("FAILED" if error else "COMPLETED", output=body.get("output"), error=error)

    async def _stream_in(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["job"]]
        if self.faults.fail_stream:
            self.faults.fail_stream -= 1
            return web.Response(status=500)
        if self.faults.refuse_stream:
            return web.Response(status=403)
        text = await request.text()
        assert len(text) < 10**6, "a streamed piece may have 1 MB"
        chunk = json.loads(text, parse_constant=_refuse_constant)
        place = len(job.chunks)
        job.chunks.insert(place - place % 2 if self.faults.reorder_chunks else place, chunk)
        job.seen = time.monotonic()
        await self._wake()
        return web.Response()

    # Towards clients -----------------------------------------------------------------------------

    def _add(self, body: dict[str, object]) -> PlatformJob:
        job_id = str(uuid.uuid4())
        job = self.jobs[job_id] = PlatformJob(job_id, {"id": job_id, **body})
        self._queue.append(job)
        return job

    def _cancel(self, job: PlatformJob) -> None:
        if job.status == "IN_PROGRESS":
            self._stops[job.deliveries[-1]].append(job.id)
        job.end("CANCELLED")

    async def _public_run(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not isinstance(body, dict) or body.get("input") is None:
            return web.json_response({"error": "a job needs an input"}, status=400)
        job = self._add(body)
        await self._wake()
        if request.path.endswith("runsync"):
            while job.status not in FINAL:
                await asyncio.sleep(0.02)
        return web.json_response(job.public())

    def _named(self, request: web.Request) -> PlatformJob:
        job = self.jobs.get(request.match_info["job"])
        if job is None:
            raise web.HTTPNotFound(text='{"error": "job not found"}')
        return job

    async def _public_status(self, request: web.Request) -> web.Response:
        return web.json_response(self._named(request).public())

    async def _public_stream(self, request: web.Request) -> web.Response:
        job = self._named(request)
        await self._held(lambda: len(job.chunks) > job.chunks_read or job.status in FINAL)
        chunks, job.chunks_read = job.chunks[job.chunks_read :], len(job.chunks)
        return web.json_response({"status": job.status, "stream": chunks})

    async def _public_cancel(self, request: web.Request) -> web.Response:
        job = self._named(request)
        self._cancel(job)
        await self._wake()
        return web.json_response(job.public())
