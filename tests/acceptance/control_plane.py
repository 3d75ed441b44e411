"""A stand-in for RunPod's side of a worker, on loopback: what the worker polls and posts to.

It speaks the four calls that the pinned SDK makes (read in its source and seen on the socket): GET
job-take and job-stop as long polls, GET ping, POST job-done. Every post is kept as it came, so
that a test can say what a customer would have seen and in which order.
"""

import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

WORKER_KEY = "worker-key"
LONG_POLL_SECONDS = 2.0


@dataclass
class Job:
    """One job as the platform sees it.

    Attributes:
        posts: Bodies of all job-done calls in the order of arrival: progress first, then a result.
        taken: Set when the worker has it.
        finished: Set by the first post that is not progress.
    """

    id: str
    body: dict[str, object]
    posts: list[dict[str, object]] = field(default_factory=list)
    taken: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def progress(self) -> list[object]:
        return [post["output"] for post in self.posts if post.get("status") == "IN_PROGRESS"]

    @property
    def results(self) -> list[dict[str, object]]:
        return [post for post in self.posts if post.get("status") != "IN_PROGRESS"]

    def result(self, timeout: float) -> dict[str, object]:
        """What the worker posted in the end."""
        assert self.finished.wait(timeout), f"{self.id}: no result within {timeout} s: {self.posts}"
        return self.results[0]

    def progress_seen(self, timeout: float) -> None:
        """Wait until the worker has reported progress."""
        deadline = time.monotonic() + timeout
        while not self.progress:
            assert time.monotonic() < deadline, f"{self.id}: no progress within {timeout} s"
            time.sleep(0.02)


class ControlPlane:
    """The server; `with ControlPlane() as plane:` runs it on a port of its own.

    Attributes:
        jobs: All that were submitted, by id.
        pings: Heartbeats so far.
        progress_delay: Seconds that a post of progress is on its way.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.pings = 0
        self.progress_delay = 0.0
        self._queue: deque[Job] = deque()
        self._stops: deque[str] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "ControlPlane":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self) -> dict[str, str]:
        """What RunPod sets in a worker's environment."""
        base = f"http://127.0.0.1:{self._server.server_address[1]}/v2/endpoint"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=none",
            "RUNPOD_AI_API_KEY": WORKER_KEY,
            "RUNPOD_POD_ID": "worker-1",
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }

    def submit(self, job_input: object) -> Job:
        """Queue a job."""
        with self._changed:
            job_id = f"job-{len(self.jobs) + 1}"
            job = self.jobs[job_id] = Job(job_id, {"id": job_id, "input": job_input})
            self._queue.append(job)
            self._changed.notify_all()
        return job

    def cancel(self, job: Job) -> None:
        """Tell the worker to stop a job that it has taken."""
        with self._changed:
            self._stops.append(job.id)
            self._changed.notify_all()

    def take(self) -> dict[str, object] | None:
        """The next job, after at most a long poll."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed, LONG_POLL_SECONDS)
            if not self._queue:
                return None
            job = self._queue.popleft()
        job.taken.set()
        return job.body

    def take_stops(self) -> list[str]:
        """Jobs to stop, after at most a long poll."""
        with self._changed:
            self._changed.wait_for(lambda: self._stops or self._closed, LONG_POLL_SECONDS)
            stops = list(self._stops)
            self._stops.clear()
        return stops

    def receive(self, job_id: str, post: dict[str, object]) -> None:
        """Keep what the worker posted."""
        job = self.jobs[job_id]
        if post.get("status") == "IN_PROGRESS":
            time.sleep(self.progress_delay)
        job.posts.append(post)
        if post.get("status") != "IN_PROGRESS":
            job.finished.set()


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _handler_of(plane: ControlPlane) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            call = urlsplit(self.path).path.split("/")[3]
            if self.headers["Authorization"] != WORKER_KEY:
                self._answer(401, None)
            elif call == "job-take":
                job = plane.take()
                self._answer(200 if job else 204, job)
            elif call == "job-stop":
                stops = plane.take_stops()
                self._answer(200 if stops else 204, {"jobsToStop": stops} if stops else None)
            else:
                plane.pings += 1
                self._answer(200, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            matched = re.fullmatch(r"/v2/endpoint/job-done/worker-1/([\w-]+)\?.+", self.path)
            assert matched, self.path
            plane.receive(matched[1], json.loads(body, parse_constant=_refuse_constant))
            self._answer(200, {})

        def _answer(self, status: int, body: object) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True  # the worker was killed, which is a test's right

        def log_message(self, *args: object) -> None:
            """Say nothing: the worker's own log is what a failed test shows."""

    return Handler
