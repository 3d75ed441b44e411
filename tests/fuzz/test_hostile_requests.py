"""Whatever a caller sends, every route answers that it was the caller's mistake: no 500, no trace.

The application is asked in this process, as the web server would ask it.
"""

import asyncio
import json
import logging
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `serve` is not installed")
sys.path.insert(0, str(Path(__file__).parent))

from fastapi.routing import APIRoute
from hostile_corpus import BODIES, HEADERS, ORDER, TEXTS, mutants

from multitalk.schema import JobStatus
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.app import ROUTERS, create_app
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.services import open_services
from multitalk.serving.queue import Outcome
from multitalk.serving.queue.records import Submission
from multitalk.settings import Settings

Case = TypeVar("Case")
Some = Callable[[Sequence[Case], float], Sequence[Case]]

SEED = 20_261
NUM_MUTANTS = 15
ALL_BODIES = (*BODIES, *mutants(NUM_MUTANTS, SEED))
PLAIN = ("/", "/favicon.ico")  # files: a range of them is refused in plain text


@dataclass
class HostileServer:
    """The application, what it is asked and what it answered wrongly.

    Attributes:
        app: The application.
        job_id: Of a job that has a video.
        key: Of its owner; empty where the server has no keys.
        count: How many requests there were.
        wrong: What was answered otherwise than as it should.
    """

    app: object
    job_id: str = ""
    key: str = ""
    count: int = 0
    wrong: list[str] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *more: tuple[bytes, bytes],
        documented: Container[str] | None = None,
    ) -> int:
        """One request; its status.

        Args:
            method: GET, POST or what else.
            target: The path and the query, percent-encoded.
            body: What is sent.
            more: Further headers, or others in place of the usual ones.
            documented: The statuses that it may have; None for any.
        """
        path, _, query = target.partition("?")
        usual = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        if self.key:
            usual.append((b"authorization", f"Bearer {self.key}".encode()))
        names = {name for name, _ in more}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [*((name, value) for name, value in usual if name not in names), *more],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        sent: list[dict] = []
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: dict) -> None:
            sent.append(message)

        said = f"{method} {target[:80]} {body[:80]!r} {[(a, b[:40]) for a, b in more]}"
        self.count += 1
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.wrong.append(f"{error!r}: {said}")
            return 500
        status = sent[0]["status"]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        if status >= 500 and status != 503:
            self.wrong.append(f"{status}: {said}")
        elif documented is not None and str(status) not in documented:
            self.wrong.append(f"{status} is not documented: {said}")
        elif problem := status >= 400 and path not in PLAIN and unlike_an_error(content):
            self.wrong.append(f"{problem}: {said}")
        return status


def unlike_an_error(content: bytes) -> str:
    """What is wrong with the body of a refusal; nothing if it is as documented, or empty."""
    if not content:
        return ""
    try:
        told = json.loads(content)
    except ValueError:
        return f"a refusal that is no JSON, {content[:40]!r}"
    sentence = told["error"]["message"] if isinstance(told["error"], dict) else told["error"]
    if len(content) > 20_000:
        return "a refusal of more than 20 kB"
    if not all(line.isprintable() for line in (*sentence.split("\n"), told.get("field", ""))):
        return "a sentence with characters that show nothing"
    return "" if {"code", "details"} <= set(told) else "a refusal without code or details"


@asynccontextmanager
async def asking(directory: Path, *, with_key: bool) -> AsyncIterator[HostileServer]:
    """A server with one finished job."""
    config = ServeConfig(data=directory, rate_factor=0, max_run_bytes=10**6)
    keys, settings = KeyRing(directory / "keys.json"), Settings(work_directory=directory)
    owner, key = keys.add("hostile") if with_key else ("", "")
    url = f"sqlite://{directory / 'queue.db'}"
    app = create_app(
        config,
        keys,
        lambda: open_services(config, settings, keys, queue_url=url, engine="warp"),
        Metrics(),
    )
    async with app.router.lifespan_context(app):
        queue = app.state.services.queue
        app.state.services.shutdown.requested.set()  # so that no answer waits for a job's end
        job = await queue.submit(Submission(input=ORDER["input"], owner=owner and owner.id))
        lease = await queue.claim("worker", wait=1.0)
        video = await queue.media.put(b"video" * 99, job_id=job.id, suffix=".mp4")
        await queue.finish(lease, Outcome(status=JobStatus.COMPLETED, output={"video": video}))
        yield HostileServer(app, job.id, key)


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of each; the one that deletes the finished job comes last."""
    yield "GET", "/openapi.json"
    there = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    for route in sorted(there, key=lambda route: "/delete/" in route.path):
        for method in sorted(route.methods):
            yield method, route.path


def at_route(
    method: str, path: str, operation: dict, job_id: str, some: Some
) -> Iterator[tuple[str, bytes, tuple[bytes, bytes] | None]]:
    """Target, body and header of each request at one route, all that it is meant for first."""
    plain = filled(path, job_id)
    for part in re.findall(r"{\w+(?::path)?}", path):
        for text in some(TEXTS, 0.2 if part == "{endpoint}" else 0.5):
            yield filled(path.replace(part, text), job_id), b"", None
    for one in operation.get("parameters", ()):
        for text in some(TEXTS, 1.0) if one["in"] == "query" else ():
            yield f"{plain}?{one['name']}={text}", b"{}", None
    for header in some(HEADERS, 1.0 if path.endswith(("/run", "}.mp4", "/faces")) else 0.12):
        yield plain, b"{}" if method == "POST" else b"", header
    for spelled in (f"/{plain}", f"{plain}/", plain.upper(), plain.replace("/", "/%2e/", 1)):
        yield spelled, b"{}", None
    for body in some(ALL_BODIES, 1.0 if "requestBody" in operation else 0.05):
        yield plain, body, None
        if path.endswith("/batch"):
            yield plain, b'{"jobs": [' + body + b"]}", None


async def sweep(asked: HostileServer, share: float) -> None:
    """Everything at every route that it is meant for, and a share of all the rest."""
    chance = random.Random(SEED)

    def some(corpus: Sequence[Case], rest: float) -> Sequence[Case]:
        return chance.sample(corpus, round(len(corpus) * min(1.0, share * rest)))

    described = asked.app.openapi()["paths"]
    for method, path in routes():
        operation = described.get(path, {}).get(method.lower(), {})
        for target, body, header in at_route(method, path, operation, asked.job_id, some):
            is_at_route = target.partition("?")[0] == filled(path, asked.job_id)
            documented = operation.get("responses") if is_at_route else None
            await asked.ask(
                method, target, body, *([header] if header else ()), documented=documented
            )
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "FOO", "", "CONNECT", "PATCH"):
        for path in ("/", "/v2/x/run", "/videos/x.mp4", "/v1/audio/speech", "*", ""):
            await asked.ask(method, path, b"x")
    for text in TEXTS:
        for start in ("/", "/js/", "/v1/", "/v2/", "/videos/"):
            await asked.ask("GET", start + text)


def filled(path: str, job_id: str) -> str:
    """A route's path with a job, and with what is usual for its other parts."""
    for part, usual in (("{job_id}", job_id), ("{endpoint}", "x"), ("{field:path}", "image_path")):
        path = path.replace(part, usual)
    return path


@pytest.mark.parametrize(("with_key", "share"), [(False, 1.0), (True, 0.2)])
def test_no_request_makes_the_server_fail(tmp_path, caplog, with_key, share):
    async def everything() -> HostileServer:
        async with asking(tmp_path, with_key=with_key) as asked:
            await sweep(asked, share)
            assert await asked.ask("GET", "/healthz") == 200
            return asked

    with caplog.at_level(logging.WARNING):
        asked = asyncio.run(everything())
    assert not asked.wrong, "\n".join([f"{len(asked.wrong)} of {asked.count}", *asked.wrong[:40]])
    assert not [record for record in caplog.records if record.exc_info]
    assert asked.count > 2000 * share
