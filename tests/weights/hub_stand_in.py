"""A hub on loopback: the routes, headers and redirects of the real one, and its bad days."""

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from patience import PATIENCE_SECONDS

LARGE = 1000  # bytes from which on a file is kept elsewhere, as Git LFS does
BLOCK = 16_384


@dataclass
class HubRequest:
    """A request, what it said of itself, and how much of the file went out for it."""

    method: str
    file: str
    revision: str
    start: int | None
    authorization: str | None
    encoding: str | None
    storage: bool
    sent: int = 0


@dataclass
class Fault:
    """What goes wrong with one answer for a file.

    Attributes:
        status: Answered in place of the file.
        headers: Beside it.
        drop_after: Bytes after which the connection breaks.
        hold_after: Bytes after which nothing more comes until the hub closes.
        body: Sent in place of what was asked for, with its own right length.
        whole: Whether a range is ignored.
        slow: Seconds before each block.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    hold_after: int | None = None
    body: bytes | None = None
    whole: bool = False
    slow: float = 0.0


class HubStandIn:
    """Repositories that can be asked for, and a list of what was."""

    def __init__(self, url: str, storage_url: str) -> None:
        self.url, self.storage_url = url, storage_url
        self.files: dict[str, bytes] = {}  # by ORGANISATION/NAME/path
        self.commits: dict[str, str] = defaultdict(lambda: "c" * 40)  # by ORGANISATION/NAME
        self.history: dict[str, bytes] = {}  # by COMMIT/ORGANISATION/NAME/path
        self.asked: list[HubRequest] = []
        self.faults: dict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self.extra_headers: dict[str, str] = {}
        self.closing = threading.Event()

    def fail(self, file: str, *faults: Fault, method: str = "GET") -> None:
        """Have the next answers for a file go wrong in these ways, one after the other."""
        self.faults[method, file].extend(faults)

    def gets(self, file: str) -> list[HubRequest]:
        """The requests that asked for a file's bytes and were answered with some."""
        return [a for a in self.asked if (a.method, a.file) == ("GET", file) and a.sent]

    def content(self, file: str, revision: str) -> bytes | None:
        if revision in (self.commits["/".join(file.split("/")[:2])], "main", "refs/pr/1"):
            return self.files.get(file)
        return self.history.get(f"{revision}/{file}")


def git_name(content: bytes) -> str:
    """What git calls a file of this content."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@contextmanager
def hub_stand_in() -> Iterator[HubStandIn]:
    """A hub, and the storage that it sends askers of large files to: another origin."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) for _ in range(2)]
    url, storage_url = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    hub = HubStandIn(url, storage_url)
    threads = []
    for server, storage in zip(servers, (False, True), strict=True):
        server.RequestHandlerClass = _handler(hub, storage=storage)
        server.handle_error = lambda *_: None  # whoever asked may hang up
        threads.append(threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True))
        threads[-1].start()
    try:
        yield hub
    finally:
        hub.closing.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(hub: HubStandIn, *, storage: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            revision, _, path = rest.partition("/")
            revision, file = unquote(revision), f"{repository}/{unquote(path)}"
            ranged = self.headers.get("Range")
            start = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged else None
            asked = HubRequest(
                self.command,
                file,
                revision,
                start,
                self.headers.get("Authorization"),
                self.headers.get("Accept-Encoding"),
                storage,
            )
            hub.asked.append(asked)
            content = hub.content(file, revision)
            if content is None:
                return self.reply(404, {"X-Error-Code": "EntryNotFound"}, b"")
            if not storage and len(content) >= LARGE and self.command == "GET":
                location = f"{hub.storage_url}{self.path}"
                return self.reply(302, {"Location": location}, b"")
            waiting = hub.faults[self.command, file]
            fault = waiting.popleft() if waiting else Fault()
            if fault.status:
                return self.reply(fault.status, fault.headers, b"")
            if self.command == "HEAD":
                return self.describe(file, revision, content)
            return self.give(asked, content, fault)

        def describe(self, file: str, revision: str, content: bytes) -> None:
            is_commit = len(revision) == 40
            commit = revision if is_commit else hub.commits["/".join(file.split("/")[:2])]
            headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if len(content) < LARGE:
                headers["ETag"] = f'"{git_name(content)}"'
                return self.reply(200, headers | hub.extra_headers, b"", length=len(content))
            headers["X-Linked-ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            headers["X-Linked-Size"] = str(len(content))
            headers["Location"] = f"{hub.storage_url}{self.path}"
            return self.reply(302, headers | hub.extra_headers, b"")

        def give(self, asked: HubRequest, content: bytes, fault: Fault) -> None:
            start = asked.start if asked.start is not None and not fault.whole else 0
            body = fault.body if fault.body is not None else content[start:]
            headers = dict(fault.headers)
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206 if start else 200, headers, b"", length=len(body))
            end = min(
                end for end in (len(body), fault.drop_after, fault.hold_after) if end is not None
            )
            for at in range(0, end, BLOCK):
                block = body[at : min(at + BLOCK, end)]
                hub.closing.wait(fault.slow)
                self.wfile.write(block)
                asked.sent += len(block)
            self.wfile.flush()
            if fault.hold_after is not None:
                hub.closing.wait(PATIENCE_SECONDS)
            self.close_connection = end < len(body)

        def reply(
            self, status: int, headers: dict[str, str], body: bytes, *, length: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

    return Handler
