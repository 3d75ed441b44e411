"""A server that starts a worker for each room that requests an avatar.

`python -m multitalk.integrations.livekit.dispatcher --portrait me.jpg`. `POST /launch` takes JSON:
`room_name`, and `url` and `token` with which the worker joins. A worker ends when its agent leaves.
"""

import argparse
import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from multitalk.integrations.livekit.worker import add_options
from multitalk.live.capacity import available_cores, sessions_for

CORES_PER_AVATAR = 0.5  # one that speaks, 512 pixels: LiveKit encodes its pictures
END_SECONDS = 5.0
MAX_REQUEST_BYTES = 64 * 1024
FIELDS = ("room_name", "url", "token")
KEY_VARIABLE = "MULTITALK_DISPATCH_KEY"

logger = logging.getLogger(__name__)


class Dispatcher:
    """The workers of one machine, one for each room.

    Args:
        worker: Command of a worker, without its room.
        limit: How many there may be.
        key: That each request must carry as `Authorization: Bearer KEY`; None: none.
    """

    def __init__(self, worker: Sequence[str], *, limit: int, key: str | None = None) -> None:
        self._command = worker
        self._limit = limit
        self._key = key
        self._workers: dict[str, asyncio.subprocess.Process] = {}
        self._lock = asyncio.Lock()  # one worker is started or ended at a time

    @property
    def rooms(self) -> list[str]:
        """Rooms with a worker that runs."""
        return [room for room, one in self._workers.items() if one.returncode is None]

    def application(self) -> web.Application:
        """The HTTP application; its end ends the workers."""
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.router.add_post("/launch", self._launch)
        application.cleanup_ctx.append(self._workers_end)
        return application

    async def _workers_end(self, _: web.Application) -> AsyncIterator[None]:
        yield
        await asyncio.gather(*(self._end(room) for room in list(self._workers)))

    async def _launch(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._key is not None and not hmac.compare_digest(given.encode(), self._key.encode()):
            return _refused(401, "Authorization: the key is missing or wrong")
        try:
            body = await request.json()
        except (ValueError, UnicodeDecodeError):
            return _refused(400, "the body is no JSON")
        if not isinstance(body, dict):
            return _refused(400, "the body must be a JSON object")
        for field in FIELDS:
            if not isinstance(body.get(field), str) or not body[field]:
                return _refused(400, f"{field}: a text is needed")
        async with self._lock:
            return await self._replace(body["room_name"], body["url"], body["token"])

    async def _replace(self, room: str, url: str, token: str) -> web.Response:
        """Start a room's worker, in place of that of an earlier agent."""
        await self._end(room)
        self._workers = {name: self._workers[name] for name in self.rooms}
        if len(self._workers) >= self._limit:
            return _refused(
                503, f"there are {self._limit} avatars, as many as this machine carries"
            )
        await self._start(room, url, token)
        return web.json_response({"status": "success", "room_name": room})

    async def _start(self, room: str, url: str, token: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
        environment |= {"LIVEKIT_URL": url, "LIVEKIT_TOKEN": token}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._workers[room] = await asyncio.create_subprocess_exec(*self._command, env=environment)
        logger.info("an avatar was started for room %s", ascii(room))

    async def _end(self, room: str) -> None:
        worker = self._workers.pop(room, None)
        if worker is None or worker.returncode is not None:
            return
        worker.terminate()
        try:
            await asyncio.wait_for(worker.wait(), END_SECONDS)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()


def _refused(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8089)
    carried = sessions_for(available_cores(), CORES_PER_AVATAR)
    parser.add_argument("--avatars", type=int, default=carried, help="how many there may be")
    arguments = parser.parse_args()
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and not _is_loopback(arguments.host):
        sys.exit(f"--host {arguments.host}: others could start avatars; set {KEY_VARIABLE}")
    worker = [sys.executable, "-m", "multitalk.integrations.livekit.worker"]
    for name in ("portrait", "size", "ahead_ms", "seed", "motion", "sample_rate"):
        worker += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    dispatcher = Dispatcher(worker, limit=arguments.avatars, key=key)
    web.run_app(dispatcher.application(), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
