"""Work is cancelled when its client disconnects; the base URL is that of the caller."""

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.requests import HTTPConnection

from multitalk.errors import Cancelled, LimitExceeded
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.dependencies import base_url_of, cancel_on_disconnect


class Leaving:
    """A request whose client hangs up; the work ends in that moment, if it is told to."""

    def __init__(self) -> None:
        self.work_ends = asyncio.Event()

    async def is_disconnected(self) -> bool:
        self.work_ends.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return True


@pytest.mark.parametrize("fails", [True, False])
def test_work_that_ends_as_its_client_hangs_up_leaves_no_line_in_the_log(fails):
    async def scene() -> list[str]:
        said: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(context["message"]))
        request = Leaving()

        async def work() -> None:
            await request.work_ends.wait()
            if fails:
                raise LimitExceeded("body_too_slow", limit=1)

        with pytest.raises(Cancelled):
            await cancel_on_disconnect(request, work())
        gc.collect()
        return said

    assert asyncio.run(scene()) == []


def test_work_of_a_client_that_hung_up_is_called_off():
    async def scene() -> bool:
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        with pytest.raises(Cancelled):
            await cancel_on_disconnect(Leaving(), work())
        return ended.is_set()

    assert asyncio.run(scene())


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
@pytest.mark.parametrize("host", ["talks.example", "127.0.0.1:8000", None])
def test_the_base_url_is_starlettes_by_http(scheme: str, root: str, host: str | None) -> None:
    services = SimpleNamespace(config=ServeConfig(data=Path("data")))
    scope = {
        "type": "http",
        "app": SimpleNamespace(state=SimpleNamespace(services=services)),
        "scheme": scheme,
        "root_path": root,
        "path": f"{root}/v2/talk/status/1",
        "query_string": b"video=url",
        "server": ("10.0.0.1", 8000),
        "headers": [] if host is None else [(b"host", host.encode())],
    }
    connection = HTTPConnection(scope)
    expected = str(connection.base_url).rstrip("/").replace("ws", "http", 1)
    assert base_url_of(connection) == expected
