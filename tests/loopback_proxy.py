"""A TCP proxy on loopback that holds back what passes, as a bad network does."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 2**16


def _passable() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@dataclass
class Way:
    """One direction of all connections.

    Attributes:
        delay: Seconds by which the next piece is late; those behind it wait, as in TCP.
    """

    delay: Callable[[], float] = lambda: 0.0
    _gate: asyncio.Event = field(default_factory=_passable)

    def hold(self) -> None:
        """Let nothing pass from now on."""
        self._gate.clear()

    def release(self) -> None:
        """Let pass what was held back, at once."""
        self._gate.set()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, until one end closes."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take() -> None:
            while data := await reader.read(CHUNK_BYTES):
                pieces.put_nowait((asyncio.get_running_loop().time() + self.delay(), data))
            pieces.put_nowait((0.0, b""))

        taking = asyncio.create_task(take())
        try:
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await self._gate.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            taking.cancel()
            writer.close()


class LoopbackProxy:
    """Connections to one server.

    Attributes:
        up: From clients to the server.
        down: From the server to clients.
        port: Of the proxy itself, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.up, self.down = Way(), Way()
        self.port = 0
        self._server_port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()

    def cut(self) -> None:
        """End all connections without a word, as a network that is gone."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """End all connections, and wait for their end."""
        self.cut()
        for way in (self.up, self.down):
            way.release()
        await asyncio.gather(*self._tasks)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a new client's connection on."""
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        ends, task = {writer, other_writer}, asyncio.current_task()
        self._writers |= ends
        self._tasks.add(task)
        with suppress(ConnectionError):
            await asyncio.gather(
                self.up.pump(reader, other_writer), self.down.pump(other_reader, writer)
            )
        self._writers -= ends
        self._tasks.discard(task)


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[LoopbackProxy]:
    """A proxy of the server at a port of 127.0.0.1, in this event loop."""
    proxy = LoopbackProxy(port)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


class ProxyThread:
    """A proxy in a thread of its own, for tests whose thread is taken."""

    def __init__(self, proxy: LoopbackProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy, self._loop = proxy, loop
        self.port = proxy.port

    def do(self, what: Callable[[LoopbackProxy], object]) -> None:
        """Call this with the proxy, in its thread."""
        self._loop.call_soon_threadsafe(what, self._proxy)


@contextmanager
def proxied_in_thread(port: int) -> Iterator[ProxyThread]:
    """As `proxied`, in a thread."""
    started: list[ProxyThread] = []
    is_ready, ends = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with proxied(port) as proxy:
            started.append(ProxyThread(proxy, asyncio.get_running_loop()))
            is_ready.set()
            await ends.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    is_ready.wait()
    try:
        yield started[0]
    finally:
        started[0].do(lambda _: ends.set())
        thread.join()
