"""A refusal is read by clients that still send: the rest of a body is dropped after it."""

import http.client
import logging
import socket
from urllib.parse import urlsplit

import pytest
from running import running

from patience import PATIENCE_SECONDS, wait_until

MEGABYTE = b"x" * 10**6


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
