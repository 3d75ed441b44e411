"""Queues for tests: the same ones for every kind of store."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nats_server import NatsServer
from opening import Clock, LeaseTerm, Opener

from multitalk.serving.queue import JobQueue, Terms, open_queue


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["sqlite", "nats"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A queue's address; nothing is there yet."""
    if request.param == "nats":
        return request.getfixturevalue("nats_server").url
    return f"sqlite://{tmp_path}/queue.db"


@pytest.fixture
def term(url: str, clock: Clock) -> LeaseTerm:
    return LeaseTerm(url, clock)


@pytest.fixture
async def opened(url: str, clock: Clock) -> AsyncIterator[Opener]:
    """Opens the queue, as each process would for itself; all are closed after the test."""
    async with AsyncExitStack() as stack:

        async def opener(**terms: float) -> JobQueue:
            queue = await open_queue(url, Terms(clock=clock, **terms))
            stack.push_async_callback(queue.close)
            return queue

        yield opener
