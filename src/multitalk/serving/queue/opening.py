"""From a queue's URL to the queue."""

from pathlib import Path
from urllib.parse import urlsplit

from multitalk.errors import InvalidRequest, QueueUnavailable
from multitalk.serving.queue.base import JobQueue
from multitalk.serving.queue.rules import Terms
from multitalk.serving.queue.sqlite import SqliteQueue

NATS_SCHEMES = ("nats", "tls", "ws", "wss")


async def open_queue(url: str, terms: Terms | None = None) -> JobQueue:
    """Open a queue; nothing of it is made anew if it is there.

    Args:
        url: `sqlite:///absolute/path`, `sqlite:relative/path`, or `nats://[user:password@]host:4222`
            (`tls://` with TLS), several of those separated by commas.
        terms: What everybody who opens this queue agrees on.

    Raises:
        InvalidRequest: The URL is of no kind of queue.
        QueueUnavailable: It cannot be reached or used.
    """
    scheme, _, rest = url.partition(":")
    host = rest.startswith("//") and not rest.startswith("///")
    if scheme == "sqlite" and rest.strip("/") and not host:
        return await SqliteQueue.open(Path(rest.removeprefix("//")), terms)
    if scheme in NATS_SCHEMES and urlsplit(url).hostname:
        try:
            from multitalk.serving.queue.jetstream import JetStreamQueue  # noqa: PLC0415 - optional
        except ModuleNotFoundError as error:
            raise QueueUnavailable("queue_without_library") from error
        return await JetStreamQueue.open(url, terms)
    shown = f"{scheme}://…" if "://" in url else url  # what follows may have a password
    raise InvalidRequest("queue_url_refused", field="--queue", value=shown or '""')
