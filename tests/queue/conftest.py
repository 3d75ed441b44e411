"""Queues for tests: the same ones for every kind of store."""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from nats_server import NO_SERVER, NatsServer
from opening import LeaseTerm, Opener, QueueClock

from multitalk.serving.queue import JobQueue, QueueConfig, open_queue


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give all tests that want a NATS server one place, so that one line tells of them."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_SERVER in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> QueueClock:
    return QueueClock()


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
def term(clock: QueueClock) -> LeaseTerm:
    return LeaseTerm(clock)


@pytest.fixture
async def opened(url: str, clock: QueueClock) -> AsyncIterator[Opener]:
    """Opens the queue, as each process would for itself; all are closed after the test."""
    async with AsyncExitStack() as stack:

        async def opener(**config: Any) -> JobQueue:
            given = {"clock": clock, "monotonic": clock, "grace_seconds": 0.05, **config}
            queue = await open_queue(url, QueueConfig(**given))
            stack.push_async_callback(queue.close)
            return queue

        yield opener
