"""uvicorn as this server uses it: its socket, its limits, and a graceful shutdown.

At a shutdown, responses that wait end at once, nothing looks like a crash in the log, and a second
signal stops everything.
"""

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multitalk.errors import InvalidRequest, ServerStopping
from multitalk.net.address import VALID_PORTS
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.responses import error_response
from multitalk.serving.api.transport.connections import Connections
from multitalk.serving.api.transport.http_protocol import BoundedProtocol

# uvicorn's records of a response that was cut; here it is cut on purpose and logged in one line.
_CUT_RECORDS = ("returned without completing response", "Cancel %s running task(s)")
# Its records of malformed requests: anybody could fill the log with them.
_MALFORMED_RECORDS = (
    "Invalid HTTP request received",
    "Unsupported upgrade",
    "No supported WebSocket",
)

THREADS_SECONDS = 1.5  # to wait for threads at the end

UNREAD_SECONDS = 60  # after which a client that reads nothing is disconnected
FIRST_USER_PORT = 1024  # lower ones need privileges
CLOSING_SECONDS = 3  # for unfinished responses; the whole shutdown takes at most 5 s
KEEP_ALIVE_SECONDS = 30
MAX_WEBSOCKET_BYTES = 2**20  # of a message that comes in
PING_SECONDS = 20.0

logger = logging.getLogger(__name__)


class ResponseAborted(Exception):
    """A response cannot be continued: the connection is cut to show the client."""


@dataclass(frozen=True)
class ShutdownState:
    """The state of a shutdown.

    Attributes:
        requested: By a first signal: responses that wait end now.
        forced: By a second signal: nothing is waited for.
    """

    requested: asyncio.Event = field(default_factory=asyncio.Event)
    forced: asyncio.Event = field(default_factory=asyncio.Event)


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which reports a shutdown and always closes the application.

    Args:
        config: uvicorn's.
        connections: That its protocols register in.
        shutdown: Set by signals.
        on_begin: Called in the event loop at the first signal.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        shutdown: ShutdownState,
        on_begin: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._shutdown_state = shutdown
        self._on_begin = on_begin
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run; at the end, threads that read and write files are not waited for."""
        self._loop = asyncio.get_running_loop()
        logging.getLogger("uvicorn.error").addFilter(_is_wanted)
        watching = asyncio.create_task(self._connections.run())
        files = ThreadPoolExecutor(thread_name_prefix="files")
        self._loop.set_default_executor(files)
        try:
            await super().serve(sockets)
        finally:
            watching.cancel()
            files.shutdown(wait=False, cancel_futures=True)
            self._loop.set_default_executor(ThreadPoolExecutor(1))  # asyncio waits for this one

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Also handle SIGHUP, unless it is ignored or left to the system."""
        with super().capture_signals():
            before = signal.getsignal(signal.SIGHUP)
            if not callable(before):  # ignored, as under nohup, or left to the system
                yield
                return
            signal.signal(signal.SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, before)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler: begin the shutdown, or force it at the second signal."""
        is_first = not self.should_exit
        super().handle_exit(sig, frame)
        self.force_exit = not is_first  # uvicorn: only where both were Ctrl-C
        if self._loop is not None:
            self._loop.call_soon_threadsafe(
                self._begin if is_first else self._shutdown_state.forced.set
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Also close the application at a forced shutdown, which uvicorn leaves open."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()

    def _begin(self) -> None:
        self._shutdown_state.requested.set()
        self._on_begin()


def end_process_in_time(seconds: float = THREADS_SECONDS) -> None:
    """End this process although threads run, which Python would wait for.

    A file that one of them writes is left incomplete; no client has its name yet.
    """
    gc.freeze()  # skips a garbage collection at exit
    ends = time.monotonic() + seconds
    main = threading.main_thread()
    for thread in threading.enumerate():
        if thread is not main and not thread.daemon:
            thread.join(max(0.0, ends - time.monotonic()))
            if thread.is_alive():
                logger.warning("ends without waiting for the thread %s", thread.name)
                logging.shutdown()
                os._exit(128 + signal.SIGTERM)


class AbortMiddleware:
    """Outermost middleware: a response that cannot be finished is cut without a traceback.

    Args:
        app: The application.
        shutdown: The events of the shutdown.
    """

    def __init__(self, app: ASGIApp, shutdown: ShutdownState) -> None:
        self._app = app
        self._shutdown_state = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        has_started = False

        async def send_noting(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except ResponseAborted as error:
            logger.info("%s was cut: %s", scope["path"], error)
        except asyncio.CancelledError:
            if not self._shutdown_state.requested.is_set() or scope["type"] != "http":
                raise
            logger.info("%s was cut: the server ends", scope["path"])
            if not has_started:
                stopping = ServerStopping("server_stopping")
                await error_response(stopping, "en", path=scope["path"])(scope, receive, send)


def _is_wanted(record: logging.LogRecord) -> bool:
    return not any(text in str(record.msg) for text in (*_CUT_RECORDS, *_MALFORMED_RECORDS))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 lets the system choose.

    Raises:
        InvalidRequest: The host is not this machine's, or the port is taken or not allowed.
    """
    try:
        is_six = ipaddress.ip_address(host).version == 6
    except ValueError:
        is_six = False
    listening = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD_SECONDS)
    try:
        listening.bind((host, port))
        listening.listen()  # clients that connect from now on are queued
    except OSError as error:
        listening.close()
        raise _cannot_listen(host, port, error) from error
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> InvalidRequest:
    """The reason why a server cannot listen on an address."""
    reason = error.strerror or type(error).__name__
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return InvalidRequest("host_not_here", field="--host", host=host, reason=reason)
    other = port + 1 if FIRST_USER_PORT <= port < VALID_PORTS[-1] else 8000
    return InvalidRequest(
        "cannot_listen", field="--port", host=host, port=port, reason=reason, other=other
    )


def address_of(config: ServeConfig, port: int) -> str:
    """The base URL of a server that listens on a port."""
    if config.base_url is not None:
        return config.base_url
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def http_server(
    app: ASGIApp,
    shutdown: ShutdownState,
    connections: Connections,
    *,
    on_begin: Callable[[], None],
    trusted_proxies: Sequence[str] = (),
    closing_seconds: int = CLOSING_SECONDS,
) -> GracefulServer:
    """A server ready to run.

    Args:
        app: The application.
        shutdown: Set by signals.
        connections: Of the server.
        on_begin: Called in the event loop at the first signal.
        trusted_proxies: Addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are
            believed.
        closing_seconds: For unfinished responses at a shutdown.
    """
    protocol: Any = partial(BoundedProtocol, connections)  # uvicorn calls it like a class
    config = uvicorn.Config(
        AbortMiddleware(app, shutdown),
        http=protocol,
        ws="websockets-sansio",
        ws_max_size=MAX_WEBSOCKET_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,  # frames and sound are compressed already
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=closing_seconds,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    return GracefulServer(config, connections, shutdown, on_begin)
