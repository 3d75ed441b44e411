"""The real application behind a real socket, in a thread, with a stub worker."""

import asyncio
import contextlib
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from obedient_worker import working

from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.app import create_app
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.housekeeping import Housekeeping
from multitalk.serving.api.jobs.webhooks import Poster, Webhooks, public_poster
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.services import Services, open_services
from multitalk.serving.api.transport.connections import Connections
from multitalk.serving.api.transport.uvicorn_server import ShutdownState, http_server
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the servers of tests speak HTTP


class Running:
    """A server that runs.

    Attributes:
        url: Its address.
        services: What its routes use.
        keys: Who may ask.
        open_requests: How many are being answered.
    """

    def __init__(
        self,
        url: str,
        services: Services,
        keys: KeyRing,
        loop: asyncio.AbstractEventLoop,
        open_requests: Callable[[], int],
    ):
        self.url = url
        self.open_requests = open_requests
        self.services = services
        self.keys = keys
        self._loop = loop

    def client(self, token: str | None = None, **options) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        options = {"timeout": PATIENCE_SECONDS, "verify": NO_CERTIFICATES, **options}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, **options)

    def do(self, work):
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)


def webhooks_of(
    services: Services,
    metrics: Metrics,
    post: Poster,
    monotonic: Callable[[], float] = time.monotonic,
) -> Webhooks:
    """The webhooks of a server, posted by `post`."""
    return Webhooks(
        services.queue,
        services.database,
        services.replies,
        secret=services.secret,
        metrics=metrics,
        post=post,
        clock=services.clock,
        monotonic=monotonic,
    )


@contextmanager
def running(
    data: Path,
    *,
    settings: Settings | None = None,
    works: bool = True,
    keeps_house: bool = True,
    clock: Callable[[], float] | None = None,
    post: Poster | None = None,
    connections: Connections | None = None,
    **options,
) -> Iterator[Running]:
    """A server on loopback; `options` are of its `ServeConfig`."""
    config = ServeConfig(data=data, **options)
    settings = settings or Settings(work_directory=data, allow_loopback=True)
    keys, metrics, ending = KeyRing(data / "keys.json"), Metrics(), ShutdownState()
    started: list[tuple[Services, asyncio.AbstractEventLoop]] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Services]:
        url = f"sqlite://{data / 'queue.db'}"
        async with open_services(
            config,
            settings,
            keys,
            queue_url=url,
            engine="warp",
            shutdown=ending,
            clock=clock or time.time,
        ) as services:
            posting = post or public_poster(settings)
            webhooks = webhooks_of(services, metrics, posting, clock or time.monotonic)
            housekeeping = Housekeeping(
                services.queue,
                services.database,
                services.uploads,
                webhooks=webhooks,
                metrics=metrics,
                clock=services.clock,
            )
            async with contextlib.AsyncExitStack() as stack:
                if works:
                    await stack.enter_async_context(working(services.queue))
                chores = asyncio.create_task(housekeeping.run())
                if not keeps_house:
                    chores.cancel()
                started.append((services, asyncio.get_running_loop()))
                yield services
                chores.cancel()
                await asyncio.wait({chores})

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        uvicorn_server = http_server(
            create_app(config, keys, opening, metrics),
            ending,
            connections or Connections(),
            on_begin=lambda: None,
            trusted_proxies=config.trusted_proxies,
            closing_seconds=2,
        )
        thread = threading.Thread(target=uvicorn_server.run, args=([listening],))
        thread.start()
        try:
            end = time.monotonic() + PATIENCE_SECONDS
            while not uvicorn_server.started:
                assert thread.is_alive()
                assert time.monotonic() < end
                time.sleep(0.01)
            ((opened, loop),) = started
            tasks = uvicorn_server.server_state.tasks
            yield Running(url, opened, keys, loop, lambda: len(tasks))
        finally:
            uvicorn_server.handle_exit(signal.SIGINT, None)
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def ended(client: httpx.Client, job_id: str, **query: str) -> dict:
    """The job's status, once it is final."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        reply = client.get(f"/v2/talk/status/{job_id}", params=query).json()
        if reply["status"] not in ("IN_QUEUE", "IN_PROGRESS"):
            return reply
        time.sleep(0.03)
    raise AssertionError(f"still {reply}")
