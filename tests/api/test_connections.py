"""Connections are bounded before the key is read: their headers, their time, their number."""

import json
import logging
import re
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from running import running

from multitalk.serving.api.transport.connections import Connections, connections_for
from multitalk.serving.api.transport.http_protocol import (
    DROP_BYTES,
    DROP_SECONDS,
    HEAD_SECONDS,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    QUIET_SECONDS,
)
from patience import PATIENCE_SECONDS, wait_until

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v2/a/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n"
ENOUGH = {"max_unauthenticated": 8, "max_connections": 12}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with a key."""
    connections = Connections(**ENOUGH)
    place = tmp_path_factory.mktemp("bounded")
    with running(place, works=False, keeps_house=False, connections=connections) as server:
        server.token = server.keys.add("one")[1]
        server.connections = connections
        yield server


@pytest.fixture(autouse=True)
def quiet(request, monkeypatch):
    """No connection of an earlier test is left, and time goes by in `passes` only."""
    if "served" in request.fixturenames:
        served = request.getfixturevalue("served")
        wait_until(lambda: served.connections.count == 0)
        now = time.monotonic()
        monkeypatch.setattr(served.connections, "_clock", lambda: now)


@contextmanager
def connected(server, sends=b""):
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as made:
        made.settimeout(PATIENCE_SECONDS)
        made.sendall(sends)
        yield made


def read_all(connection):
    """What comes until the server closes."""
    received = b""
    try:
        while some := connection.recv(2**16):
            received += some
    except ConnectionResetError:
        pass
    return received


def read_one(connection):
    """One answer, whose body may come after its head."""
    received, length = b"", None
    while length is None or len(received) < length:
        some = connection.recv(2**16)
        assert some, received
        received += some
        head, blank, _ = received.partition(b"\r\n\r\n")
        if blank:
            announced = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            length = len(head) + len(blank) + int(announced[1])
    return received


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


def code(answer):
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"]


def passes(server, seconds):
    async def pass_by():
        server.connections.check(seconds)

    server.do(pass_by())


def authorized(server, head=GET):
    return head + b"Authorization: " + server.token.encode() + b"\r\n"


def test_headers_up_to_the_limits_are_read(served):
    many = b"".join(b"X-%d: a\r\n" % number for number in range(MAX_HEADERS - 2))
    long = b"X-Long: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n"
    for extra in (many, long):
        with connected(served, GET + extra + b"Connection: close\r\n\r\n") as connection:
            assert status(read_all(connection)) == 200


@pytest.mark.parametrize(
    "sends",
    [
        GET + b"X-Long: " + b"a" * 3_000_000,
        GET + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        GET + b"a" * 100_000,  # a name
        b"GET /" + b"a" * 100_000,
        GET + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(90)) + b"\r\n",
        GET + b"X: a\r\n" * 20_000,
        GET + b"X: a\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        POST.replace(b"\r\n\r\n", b"\r\n" + b"X: a\r\n" * (MAX_HEADERS + 1) + b"\r\n"),
    ],
)
def test_larger_headers_are_answered_with_431_and_end_the_connection(served, sends):
    with connected(served, sends) as connection:
        answer = read_all(connection)
    assert status(answer) == 431
    assert code(answer) == "limit_exceeded"


def test_headers_too_large_are_refused_on_a_kept_connection_too(served):
    with connected(served, GET + b"\r\n") as connection:
        assert status(read_one(connection)) == 200
        connection.sendall(GET + b"X-Long: " + b"a" * 200_000)
        assert status(read_all(connection)) == 431


CHUNKED = POST.replace(b"Content-Length: 5000000", b"Transfer-Encoding: chunked") + b"1\r\na\r\n"


@pytest.mark.parametrize(
    "sends", [b"0\r\nX-Trailer: " + b"a" * 200_000, b"0\r\n" + b"X: a\r\n" * 20_000]
)
def test_trailers_without_end_close_the_connection(served, sends):
    with connected(served, CHUNKED) as connection:
        assert status(read_one(connection)) == 401
        connection.sendall(sends)
        assert status(read_all(connection)) in (431, None)


def test_requests_that_are_not_waited_for_are_bounded(served):
    with connected(served, (GET + b"\r\n") * (50 * MAX_PIPELINED)) as connection:
        answers = read_all(connection).count(b"HTTP/1.1")
    assert answers <= MAX_PIPELINED + 1


@pytest.mark.parametrize("sends", [b"", b"GET /", GET + b"X: a"])
def test_headers_that_do_not_come_close_the_connection(served, sends):
    with connected(served, sends) as connection:
        wait_until(lambda: served.connections.count == 1)
        passes(served, HEAD_SECONDS - 5)
        if sends:
            connection.sendall(b"X")  # a byte from time to time does not help
        passes(served, 6)
        answer = read_all(connection)
    assert status(answer) == (408 if sends else None)


def test_the_next_request_s_headers_have_their_time_too(served):
    with connected(served, GET + b"\r\n") as connection:
        assert status(read_one(connection)) == 200
        passes(served, HEAD_SECONDS + 1)  # a kept connection may be idle
        connection.sendall(GET + b"\r\n")
        assert status(read_one(connection)) == 200
        connection.sendall(b"\r\nG")
        wait_until(lambda: [one for one in served.connections._all if one._awaits_head])
        passes(served, HEAD_SECONDS + 1)
        assert status(read_all(connection)) == 408


def test_a_body_that_stops_is_answered_and_leaves_no_traceback(served, caplog):
    head = authorized(served, POST.replace(b"\r\n\r\n", b"\r\n"))
    with connected(served, head + b"\r\n" + b" " * 400_000) as connection:
        wait_until(lambda: served.open_requests() == 1)
        wait_until(lambda: [one for one in served.connections._all if one._body_bytes > 399_000])
        passes(served, QUIET_SECONDS - 5)
        connection.sendall(b" ")
        wait_until(lambda: [one for one in served.connections._all if one._quiet_seconds < 5])
        passes(served, QUIET_SECONDS - 5)
        assert served.open_requests() == 1
        passes(served, 10)
        answer = read_all(connection)
    assert (status(answer), code(answer)) == (408, "limit_exceeded")
    wait_until(lambda: served.open_requests() == 0)
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_body_that_only_drips_ends(served):
    head = authorized(served, POST.replace(b"\r\n\r\n", b"\r\n"))
    with connected(served, head + b"\r\n ") as connection:
        wait_until(lambda: served.open_requests() == 1)
        (waiting,) = served.connections._all
        for _ in range(3):
            before = waiting._body_bytes
            connection.sendall(b" ")
            wait_until(lambda: waiting._body_bytes > before)  # noqa: B023 - it is called here
            passes(served, QUIET_SECONDS / 2)
        assert status(read_all(connection)) == 408


def test_an_answer_that_is_waited_for_has_no_time_limit(served):
    """A long poll: the request is whole, so nothing is the client's turn."""
    assert served.services.config.max_runsync_bytes
    body = json.dumps({"input": {"echo": 1}}).encode()
    head = b"POST /v2/a/runsync?wait=300000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
    with connected(served, authorized(served, head % len(body)) + b"\r\n" + body) as connection:
        wait_until(lambda: served.open_requests() == 1)
        wait_until(lambda: [one for one in served.connections._all if not one._awaits_body])
        passes(served, 1000)
        assert served.open_requests() == 1
        assert served.connections.count == 1
        connection.shutdown(socket.SHUT_RDWR)
    with served.client(served.token) as client:
        client.post("/v2/a/purge-queue")


@pytest.mark.parametrize("kept", [b"", b"Connection: close\r\n"])
def test_a_refusal_is_seen_by_who_sends_all_of_a_large_body_first(served, kept):
    body = 5_000_000
    with connected(served, POST.replace(b"\r\n\r\n", b"\r\n" + kept + b"\r\n")) as connection:
        connection.sendall(b"a" * body)
        assert status(read_one(connection)) == 401


def test_what_remains_of_a_body_is_dropped_for_a_while_only(served):
    with connected(served, POST) as connection:
        assert status(read_one(connection)) == 401
        passes(served, DROP_SECONDS + 1)
        assert read_all(connection) == b""
    endless = POST.replace(b"5000000", b"9" * 15)
    with connected(served, endless) as connection:
        assert status(read_one(connection)) == 401
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(bytes(3 * DROP_BYTES))


def test_refused_connections_that_stay_open_give_way_to_new_ones(served, caplog):
    with ExitStack() as stack:
        for _ in range(ENOUGH["max_unauthenticated"]):
            refused = stack.enter_context(connected(served, GET + b"X: a\r\n" * (MAX_HEADERS + 1)))
            refused.sendall(b"\r\n")
            assert status(read_one(refused)) == 431
        assert served.connections.count == ENOUGH["max_unauthenticated"]
        for _ in range(3):
            with served.client() as client:
                assert client.get("/healthz").status_code == 200
    assert [record for record in caplog.records if record.exc_info] == []


def test_slow_connections_give_way_to_new_ones_and_the_log_says_so_once(served, caplog):
    caplog.set_level(logging.WARNING)
    served.connections._logged_at = -1e9
    with ExitStack() as stack:
        slow = [
            stack.enter_context(connected(served, GET + b"X: a"))
            for _ in range(3 * ENOUGH["max_unauthenticated"])
        ]
        for _ in range(3):
            with served.client() as client:
                assert client.get("/healthz").status_code == 200
            with served.client(served.token) as client:
                assert client.get("/v2/a/health").status_code == 200
        assert served.connections.count <= ENOUGH["max_unauthenticated"]
        answer = read_all(slow[0])
        assert (status(answer), code(answer)) == (503, "server_unavailable")
        passes(served, 0)
        passes(served, 0)
    said = [record.getMessage() for record in caplog.records if "closed" in record.getMessage()]
    assert len(said) == 1
    assert "too many at once: " in said[0]


def test_those_with_a_key_keep_their_connections_among_many_without(served):
    with ExitStack() as stack:
        kept = [stack.enter_context(served.client(served.token)) for _ in range(2)]
        for client in kept:
            client.get("/v2/a/health")
        before = set(served.connections._all)
        for _ in range(2 * ENOUGH["max_unauthenticated"]):
            stack.enter_context(connected(served, b"G"))
        wait_until(lambda: served.connections.count >= ENOUGH["max_unauthenticated"])
        assert before <= set(served.connections._all)


class Held:
    """A connection, as a server's others see it."""

    def __init__(self, *, is_authenticated=False, is_idle=True):
        self.is_authenticated, self.is_idle, self.gone = is_authenticated, is_idle, False

    def evict(self):
        self.gone = True

    def passed(self, seconds):
        return None


def test_connections_that_are_answered_yield_last_and_all_of_them_are_bounded():
    connections = Connections(max_unauthenticated=3, max_connections=5)
    answered, first, second = Held(is_idle=False), Held(), Held()
    assert all(connections.enter(one) for one in (answered, first, second))
    assert connections.enter(Held(is_idle=False))
    assert (answered.gone, first.gone, second.gone) == (False, True, False)
    assert connections.enter(Held(is_idle=False))
    assert connections.enter(Held(is_idle=False))
    assert (answered.gone, second.gone) == (True, True)
    known = Connections(max_unauthenticated=3, max_connections=5)
    held = [Held(is_authenticated=True, is_idle=False) for _ in range(5)]
    assert all(known.enter(one) for one in held)
    assert not known.enter(Held())
    held[2].is_idle = True
    assert known.enter(Held())
    assert [one.gone for one in held] == [False, False, True, False, False]


@pytest.mark.parametrize("limit", [64, 256, 512, 1024, 4096, 10**6])
def test_there_are_files_left_beside_the_connections(limit):
    connections = connections_for(limit)
    assert 0 < connections._max_unauthenticated < connections._max_connections <= 2048
    if limit >= 512:
        assert 2 * connections._max_connections < limit
    if limit >= 4096:
        assert connections._max_unauthenticated == 256


def test_the_server_may_open_as_many_files_as_it_is_allowed():
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 3000));"
        "from multitalk.serving.api.transport.connections import raise_open_file_limit as raised;"
        "print(raised(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 3000
    said = subprocess.check_output([sys.executable, "-c", script], timeout=PATIENCE_SECONDS)
    assert said == b"3000 3000\n"


def test_a_proxy_s_headers_are_believed_only_if_it_is_named(tmp_path):
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with running(tmp_path / "a", works=False) as server, server.client() as client:
        assert [client.post("/v2/a/purge-queue").status_code for _ in range(2)] == [200, 200]
        assert client.post("/v2/a/purge-queue", headers=headers).status_code == 429
    with running(tmp_path / "b", works=False, trusted_proxies=("127.0.0.0/8",)) as server:
        with server.client() as client:
            assert client.get("/v2/a/health", headers=headers).status_code == 403
        token = server.keys.add("one")[1]
        with server.client(token) as client:
            assert client.get("/v2/a/health", headers=headers).status_code == 200


def test_a_server_ends_although_clients_are_slow(tmp_path):
    """Nothing yet, half a head, half a body."""
    with ExitStack() as stack, running(tmp_path, works=False) as server:
        server.token = server.keys.add("one")[1]
        half = authorized(server, POST.replace(b"\r\n\r\n", b"\r\n")) + b"\r\n"
        for sends in (b"", b"GET", half):
            stack.enter_context(connected(server, sends))
        wait_until(lambda: server.open_requests() == 1)
