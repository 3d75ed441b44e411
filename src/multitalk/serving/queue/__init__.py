"""The job queue between servers and workers, on SQLite or NATS JetStream."""

from pathlib import Path
from urllib.parse import urlsplit

from multitalk.errors import InvalidRequest, QueueUnavailable
from multitalk.serving.queue.base import JobQueue, OutcomeUnknown
from multitalk.serving.queue.media import MediaStore
from multitalk.serving.queue.records import (
    EXECUTION_SECONDS,
    FINAL,
    RETENTION_SECONDS,
    RETRYABLE,
    TTL_SECONDS,
    Counts,
    FragmentRecord,
    Job,
    Lease,
    Outcome,
    Policy,
    Stop,
    Submission,
    WorkerRecord,
    new_job_id,
)
from multitalk.serving.queue.sqlite import SqliteQueue
from multitalk.serving.queue.transitions import QueueConfig

__all__ = [
    "EXECUTION_SECONDS",
    "FINAL",
    "RETENTION_SECONDS",
    "RETRYABLE",
    "TTL_SECONDS",
    "Counts",
    "FragmentRecord",
    "Job",
    "JobQueue",
    "Lease",
    "MediaStore",
    "Outcome",
    "OutcomeUnknown",
    "Policy",
    "QueueConfig",
    "Stop",
    "Submission",
    "WorkerRecord",
    "new_job_id",
    "open_queue",
]

NATS_SCHEMES = ("nats", "tls", "ws", "wss")


async def open_queue(url: str, config: QueueConfig | None = None) -> JobQueue:
    """Open a queue, which is made if it does not exist.

    Args:
        url: `sqlite:///absolute/path`, `sqlite:relative/path`, or `nats://[user:password@]host:4222`
            (`tls://` with TLS), several of those separated by commas.
        config: Parameters shared by all processes that open this queue.

    Raises:
        InvalidRequest: The URL names no kind of queue.
        QueueUnavailable: It cannot be reached or used.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and (path := _path_after(rest)) is not None:
        return await SqliteQueue.open(path, config)
    if scheme in NATS_SCHEMES and urlsplit(url).hostname:
        try:
            from multitalk.serving.queue.jetstream import JetStreamQueue  # noqa: PLC0415 - optional
        except ModuleNotFoundError as error:
            raise QueueUnavailable("queue_without_library") from error
        return await JetStreamQueue.open(url, config)
    shown = f"{scheme}://…" if "://" in url else url  # what follows may have a password
    raise InvalidRequest("queue_url_refused", field="--queue", value=shown or '""')


def _path_after(rest: str) -> Path | None:
    """The path of a `sqlite:` URL; None where it names a host, or no file."""
    has_host = rest.startswith("//") and not rest.startswith("///")
    return None if has_host or not rest.strip("/") else Path(rest.removeprefix("//"))
