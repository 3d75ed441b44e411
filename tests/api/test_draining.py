"""A refusal is read by clients that are still sending: the rest of their body is dropped first."""

import asyncio
import http.client
import logging
import socket
from urllib.parse import urlsplit

import pytest
from running import running

from multitalk.serving.api import draining
from multitalk.serving.api.draining import Draining
from patience import PATIENCE_SECONDS, wait_until

MEGABYTE = b"x" * 10**6


def asked(status: int, sizes: list[int], *headers: tuple[bytes, bytes], reads: int = 0) -> int:
    """How many messages of a body were received before an answer of this status began."""
    received = 0

    async def app(scope, receive, send):
        for _ in range(reads):
            await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def receive():
        nonlocal received
        if received == len(sizes):
            await asyncio.Event().wait()  # a client that sends no more, nor leaves
        received += 1
        more = received < len(sizes)
        return {"type": "http.request", "body": MEGABYTE * sizes[received - 1], "more_body": more}

    async def send(message):
        assert message["status"] == status

    scope = {"type": "http", "headers": list(headers)}
    asyncio.run(Draining(app)(scope, receive, send))
    return received


def test_what_is_left_of_a_refused_body_is_dropped():
    assert asked(413, [1] * 30) == 30
    assert asked(401, [1] * 30, reads=3) == 30


def test_an_answer_that_is_no_refusal_waits_for_nothing():
    assert asked(200, [1] * 30) == 0
    assert asked(304, [1] * 30) == 0


def test_no_more_is_dropped_than_64_megabytes():
    assert asked(413, [10] * 30) == 7


def test_a_client_that_asks_before_it_sends_gets_its_refusal_at_once():
    asks = (b"expect", b"100-Continue")
    assert asked(413, [1] * 30, asks) == 0
    assert asked(413, [1] * 30, asks, reads=1) == 30


def test_a_client_that_stops_sending_is_answered_after_a_while(monkeypatch):
    monkeypatch.setattr(draining, "DROPPING_SECONDS", 0.05)
    left = [b"x"]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 413, "headers": []})

    async def receive():
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(), "more_body": True}

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Draining(app)({"type": "http", "headers": []}, receive, send))
    assert len(sent) == 1


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("draining"), works=False) as server:
        yield server


@pytest.mark.parametrize("path", ["/v2/x/run", "/v2/x/estimate", "/v1/audio/speech", "/nowhere"])
def test_a_body_that_is_too_large_is_refused_not_reset(served, path):
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, PATIENCE_SECONDS)
    connection.request("POST", path, MEGABYTE * 25, {"Connection": "close"})
    assert connection.getresponse().status == (405 if path == "/nowhere" else 413)
    connection.close()


def test_a_client_that_leaves_while_it_sends_leaves_no_traceback(served, caplog):
    address = urlsplit(served.url)
    with caplog.at_level(logging.INFO):
        for path in ("/v2/x/run", "/uploads", "/faces", "/nowhere", "/v2/x/batch"):
            with socket.create_connection((address.hostname, address.port)) as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                connection.sendall(f"{head}Content-Length: 30000000\r\n\r\n".encode() + MEGABYTE)
        wait_until(lambda: served.open_requests() == 0)
    assert not [record.getMessage() for record in caplog.records if record.exc_info]
