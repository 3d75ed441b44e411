"""Few of a caller's large bodies are in memory at once; others' are not kept waiting by them."""

import asyncio
import json
import socket
from contextlib import ExitStack

import pytest
from running import running

from multitalk.serving.api.body_parser import SMALL_BYTES, BodyMemory
from patience import wait_until


async def soon():
    for _ in range(5):
        await asyncio.sleep(0)


class Body:
    """One that has room, or waits for it."""

    def __init__(self, receiving, caller, size):
        self.has_room = False
        self._over = asyncio.Event()
        self.task = asyncio.create_task(self._received(receiving, caller, size))

    async def _received(self, receiving, caller, size):
        async with receiving.reserve(caller, size):
            self.has_room = True
            await self._over.wait()

    async def end(self):
        self._over.set()
        await self.task


def test_bodies_beyond_a_caller_s_room_wait_in_their_order():
    async def told():
        receiving = BodyMemory(limit=100)
        first, second, third, small = (Body(receiving, "a", size) for size in (60, 50, 30, 5))
        other = Body(receiving, "b", 90)
        huge = Body(receiving, "c", 10**9)  # as much as there is
        await soon()
        bodies = (first, second, third, small, other, huge)
        assert [one.has_room for one in bodies] == [True, False, False, False, True, True]
        await first.end()
        await soon()
        assert [one.has_room for one in bodies] == [True] * 6
        await asyncio.gather(*(one.end() for one in bodies[1:]))
        assert receiving._callers == {}

    asyncio.run(told())


@pytest.mark.parametrize("ends_before", [True, False])
def test_a_client_that_leaves_while_it_waits_takes_no_room(ends_before):
    async def told():
        receiving = BodyMemory(limit=100)
        first, second, third = (Body(receiving, "a", 80) for _ in range(3))
        await soon()
        if ends_before:
            first._over.set()
            await asyncio.sleep(0)
        second.task.cancel()
        first._over.set()
        await soon()
        assert third.has_room
        await third.end()
        assert receiving._callers == {}

    asyncio.run(told())


def test_a_slow_large_body_of_one_key_does_not_delay_another_key_s(tmp_path):
    text = json.dumps({"input": {"echo": "a" * (2 * SMALL_BYTES)}}).encode()
    with ExitStack() as stack:
        server = stack.enter_context(running(tmp_path, works=False))
        server.services.bodies.memory = BodyMemory(limit=len(text))
        one, other = (server.keys.add(name)[1] for name in ("one", "other"))
        slow = stack.enter_context(
            socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
        )
        head = f"POST /v2/a/run HTTP/1.1\r\nHost: x\r\nAuthorization: {one}\r\n"
        slow.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text[:-1])
        wait_until(lambda: server.services.bodies.memory._callers)
        with server.client(other) as client:
            assert client.post("/v2/a/run", content=text).status_code == 200
        with server.client(one) as client:
            assert client.post("/v2/a/run", json={"input": {"echo": 1}}).status_code == 200
        slow.sendall(text[-1:])
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        with server.client(one) as client:
            assert client.post("/v2/a/run", content=text).status_code == 200
