"""A job as the platform sees it: where it is, who had it, and everything that was posted of it."""

import threading
import time
from dataclasses import dataclass, field

from patience import PATIENCE_SECONDS

FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})


@dataclass(frozen=True)
class Post:
    """One call of job-done that was recorded.

    Attributes:
        at: When, by the monotonic clock.
        body: Its JSON.
        is_stream: The query's `isStream`.
        content_type: The header, without its parameters.
        request_id: The header `X-Request-ID`.
        worker: Who posted.
        status_before: The job's state when it came.
    """

    at: float
    body: dict[str, object]
    is_stream: bool
    content_type: str
    request_id: str | None
    worker: str
    status_before: str

    @property
    def is_progress(self) -> bool:
        return self.body.get("status") == "IN_PROGRESS"


@dataclass
class PlatformJob:
    """One job.

    Attributes:
        body: What a worker is given.
        deliveries: Workers that were given it, in order.
        posts: Every job-done that was recorded, in the order of arrival.
        chunks: What was streamed, in the order of arrival.
        seen: When a heartbeat last named it.
        finished: Set with its final state.
    """

    id: str
    body: dict[str, object]
    status: str = "IN_QUEUE"
    output: object = None
    error: object = None
    deliveries: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    chunks: list[dict[str, object]] = field(default_factory=list)
    chunks_read: int = 0
    submitted: float = field(default_factory=time.monotonic)
    taken: float = 0.0
    seen: float = 0.0
    ended: float = 0.0
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def progress(self) -> list[dict[str, object]]:
        """What was posted as progress."""
        return [post.body["output"] for post in self.posts if post.is_progress]  # type: ignore[misc]

    @property
    def results(self) -> list[dict[str, object]]:
        """What was posted as the end."""
        return [post.body for post in self.posts if not post.is_progress]

    def end(self, status: str, *, output: object = None, error: object = None) -> None:
        """Enter a final state, once."""
        if self.status in FINAL:
            return
        self.status, self.output, self.error = status, output, error
        self.ended = time.monotonic()
        self.finished.set()

    def public(self) -> dict[str, object]:
        """What a client reads at /status."""
        record: dict[str, object] = {"id": self.id, "status": self.status}
        if self.taken:
            record["delayTime"] = round(1000 * (self.taken - self.submitted))
            record["workerId"] = self.deliveries[-1]
        if self.ended and self.taken:
            record["executionTime"] = round(1000 * (self.ended - self.taken))
        if self.error is not None:
            record["error"] = self.error
        if self.output is not None:
            record["output"] = self.output
        return record

    # For tests -----------------------------------------------------------------------------------

    def wait(self, seconds: float = PATIENCE_SECONDS) -> "PlatformJob":
        """Wait for the final state."""
        assert self.finished.wait(seconds), f"{self.id} is {self.status} after {seconds} s: {self}"
        return self

    def result(self, seconds: float = PATIENCE_SECONDS) -> dict[str, object]:
        """What a worker posted in the end."""
        self.wait(seconds)
        assert self.results, f"{self.id} ended as {self.status} without a result"
        return self.results[0]

    def wait_for_progress(
        self, stage: str | None = None, *, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until a worker has said how far it is; with `stage`, in that stage."""
        deadline = time.monotonic() + seconds
        while not any(stage in (None, step["stage"]) for step in self.progress):
            assert time.monotonic() < deadline, f"{self.id}: no progress within {seconds} s"
            time.sleep(0.02)


def output_of(result: dict[str, object]) -> dict[str, object]:
    """The output that a result becomes."""
    output = result["output"]
    assert isinstance(output, dict)
    return output
