"""The server's process: a socket, the queue, the workers, until somebody says stop."""

import asyncio
import contextlib
import fcntl
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn

from multitalk.errors import InvalidRequest, MultiTalkError
from multitalk.serving.api.app import create_app
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.housekeeping import Housekeeping
from multitalk.serving.api.keys import KeyRing
from multitalk.serving.api.ledger import Ledger
from multitalk.serving.api.limits import RateLimits
from multitalk.serving.api.links import LinkSigner, read_secret
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.server import Server
from multitalk.serving.api.supervisor import Supervisor
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.webhooks import Webhooks, public_poster
from multitalk.serving.queue.opening import open_queue
from multitalk.settings import Settings

CLOSING_SECONDS = 5  # for answers that are under way
KEYS_FILE, SECRET_FILE, LEDGER_FILE, UPLOADS = "keys.json", "secret", "ledger.db", "uploads"
LOCK_FILE = "lock"

logger = logging.getLogger(__name__)


def serve(
    config: ServeConfig,
    settings: Settings,
    *,
    port: int,
    queue_url: str,
    engine: str,
    worker_command: Sequence[str],
    workers: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM, then let answers and workers end.

    Args:
        config: What the operator decided about this server.
        settings: What the operator decided about all doors.
        port: To listen at; 0 lets the system choose.
        queue_url: As for `open_queue`.
        engine: The engine that the workers load.
        worker_command: Starts one worker.
        workers: How many to start here.
        on_ready: Told the server's address once it listens.

    Raises:
        InvalidRequest: It would be open to others without a key, cannot listen there, or another
            server uses its directory.
        QueueUnavailable: The queue cannot be used.
    """
    keys = KeyRing(config.data / KEYS_FILE)
    check_reachable_only_with_key(config, keys)
    listening = _listen(config.host, port)
    address = _address(config, listening.getsockname()[1])
    metrics = Metrics()

    unopened: list[MultiTalkError] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Server]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                server = await stack.enter_async_context(
                    open_server(config, settings, keys, queue_url=queue_url, engine=engine)
                )
            except MultiTalkError as error:
                unopened.append(error)
                logging.getLogger("uvicorn.error").disabled = True  # it would log a traceback
                raise
            await stack.enter_async_context(
                Supervisor(worker_command, workers, bury=server.queue.bury)
            )
            webhooks = Webhooks(server, metrics, public_poster(settings))
            chores = asyncio.create_task(Housekeeping(server, webhooks, metrics).run())
            try:
                on_ready(address)
                yield server
            finally:
                chores.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await chores

    app = create_app(config, keys, opening, metrics)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=CLOSING_SECONDS,
            timeout_keep_alive=30,
        )
    )
    try:
        server.run(sockets=[listening])
    except SystemExit as error:  # how uvicorn ends where `opening` fails
        if unopened:
            raise unopened[0] from error
        raise


@asynccontextmanager
async def open_server(
    config: ServeConfig, settings: Settings, keys: KeyRing, *, queue_url: str, engine: str
) -> AsyncIterator[Server]:
    """What the routes share, open while the context is."""
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(config.data):
        async with _opened(config, settings, keys, queue_url=queue_url, engine=engine) as server:
            yield server


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Keep other servers off a directory.

    Raises:
        InvalidRequest: Another one has it.
    """
    with (data / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidRequest("data_in_use", field="--data") from error
        yield


@asynccontextmanager
async def _opened(
    config: ServeConfig, settings: Settings, keys: KeyRing, *, queue_url: str, engine: str
) -> AsyncIterator[Server]:
    secret = read_secret(config.data / SECRET_FILE)
    ledger = Ledger(config.data / LEDGER_FILE)
    uploads = UploadStore(
        (config.data / UPLOADS).absolute(),
        ledger,
        seconds=config.upload_seconds,
        max_bytes=config.max_upload_bytes,
    )
    queue = await open_queue(queue_url)
    try:
        yield Server(
            config=config,
            # its own uploads may be read here, for estimates
            settings=replace(settings, allowed_roots=(*settings.allowed_roots, uploads.directory)),
            engine=engine,
            queue=queue,
            ledger=ledger,
            keys=keys,
            limits=RateLimits(factor=config.rate_factor),
            links=LinkSigner(secret),
            uploads=uploads,
            secret=secret,
        )
    finally:
        await queue.close()
        ledger.close()


def check_reachable_only_with_key(config: ServeConfig, keys: KeyRing) -> None:
    """Refuse to be open to other machines without a key.

    Raises:
        InvalidRequest: It would be.
    """
    if not config.is_loopback and not keys.is_in_use():
        raise InvalidRequest("public_without_key", field="--host", host=config.host)


def _listen(host: str, port: int) -> socket.socket:
    try:
        is_six = ipaddress.ip_address(host).version == 6
    except ValueError:
        is_six = False
    listening = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # from now on who knows the address waits, and is not refused
    except OSError as error:
        listening.close()
        reason = error.strerror or type(error).__name__
        raise InvalidRequest("cannot_listen", field="--port", port=port, reason=reason) from error
    return listening


def _address(config: ServeConfig, port: int) -> str:
    if config.base_url is not None:
        return config.base_url
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
