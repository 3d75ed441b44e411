"""Webhooks: signed, tried three times, not forgotten over a restart, to public hosts only."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from running import running

from multitalk.serving.api.housekeeping import WEBHOOKS_SECONDS
from multitalk.serving.api.signature import signed_headers, webhook_secret
from multitalk.serving.api.webhooks import DELAY_SECONDS, public_poster
from multitalk.settings import Settings
from patience import wait_until

RUN = "/v2/talk/run"
PAGE = Path(__file__).parents[2] / "docs" / "self-hosting.md"


class Clock:
    """Time that the test moves."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


class Receiver:
    """Stands where the network is: notes posts, answers with the statuses it was given."""

    def __init__(self, *statuses):
        self.posts = []
        self._statuses = list(statuses)

    def __call__(self, url, headers, body):
        self.posts.append((url, dict(headers), body))
        return self._statuses.pop(0) if self._statuses else 200

    def wait(self, count):
        wait_until(lambda: len(self.posts) >= count, says=lambda: f"{len(self.posts)} posts")


def pending(server):
    """What is still to be posted, now or later."""
    return server.server.ledger.pending_webhooks(time.time() + 1e6)


def wait_until_settled(server):
    """Wait until nothing is left to be posted."""
    wait_until(lambda: not pending(server), says=lambda: pending(server))


def send(server, **more):
    with server.client() as client:
        body = {"input": {"echo": 1}, "webhook": "https://example.com/hook?a=1", **more}
        answer = client.post(RUN, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]


def verifier():
    """The receiver's code, as docs/self-hosting.md has it."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "def verify" in block)
    space = {}
    exec(code, space)
    return space["verify"]


def test_the_status_is_posted_once_signed_as_documented(tmp_path):
    receiver = Receiver()
    with running(tmp_path, post=receiver) as server:
        job = send(server)
        receiver.wait(1)
        wait_until_settled(server)
        with server.client() as client:
            secret = client.get("/webhook-secret").json()["secret"]
            status = client.get(f"/v2/talk/status/{job}").json()
    ((url, headers, body),) = receiver.posts
    assert url == "https://example.com/hook?a=1"
    assert json.loads(body) == status
    assert headers["Content-Type"] == "application/json"
    verify = verifier()
    assert verify(secret, headers, body)
    assert not verify(secret, headers, body + b" ")
    assert not verify(webhook_secret(b"another", ""), headers, body)
    old = signed_headers(secret, message_id="a", timestamp=int(time.time()) - 3600, body=body)
    assert not verify(secret, old, body)


def test_a_failed_job_is_told_too(tmp_path):
    receiver = Receiver()
    with running(tmp_path, post=receiver) as server:
        send(server, input={"error": "no face"})
        receiver.wait(1)
    told = json.loads(receiver.posts[0][2])
    assert told["status"] == "FAILED"
    assert told["error"] == "no face"


def test_what_is_not_taken_is_tried_twice_more_ten_seconds_apart(tmp_path):
    clock, receiver = Clock(), Receiver(500, None, 404)
    with running(tmp_path, post=receiver, clock=clock) as server:
        send(server)
        for count in (1, 2):
            next_try = clock() + DELAY_SECONDS  # at the earliest
            receiver.wait(count)
            wait_until(lambda first=next_try: pending(server)[0].due > first)
            assert pending(server)[0].due <= clock() + DELAY_SECONDS
            time.sleep(2.5 * WEBHOOKS_SECONDS)  # for what would come before its time
            assert len(receiver.posts) == count
            clock.ahead += DELAY_SECONDS
        receiver.wait(3)
        wait_until_settled(server)
        clock.ahead += 100
        time.sleep(2.5 * WEBHOOKS_SECONDS)
    assert len(receiver.posts) == 3
    identities = {headers["webhook-id"] for _, headers, _ in receiver.posts}
    assert len(identities) == 1  # so that a receiver can tell a repetition


def test_a_webhook_outlives_the_server(tmp_path):
    with running(tmp_path, post=Receiver(), works=False) as server:
        job = send(server)
    receiver = Receiver()
    with running(tmp_path, post=receiver):
        receiver.wait(1)
    assert json.loads(receiver.posts[0][2])["id"] == job


def test_a_purged_job_is_not_waited_for(tmp_path):
    clock = Clock()
    with running(tmp_path, post=Receiver(), works=False, clock=clock) as server:
        send(server)
        with server.client() as client:
            client.post("/v2/talk/purge-queue")
        assert len(pending(server)) == 1
        clock.ahead += 61
        wait_until_settled(server)


class Target(BaseHTTPRequestHandler):
    """A receiver on loopback."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posts.append((self.path, dict(self.headers), body))
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def target():
    with ThreadingHTTPServer(("127.0.0.1", 0), Target) as server:
        server.posts = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_post_arrives_and_no_redirect_is_followed(target):
    post = public_poster(Settings(allow_loopback=True))
    base = f"http://127.0.0.1:{target.server_port}"
    assert post(f"{base}/hook?a=1", {"webhook-id": "7"}, b"{}") == 200
    assert post(f"{base}/moved", {}, b"{}") == 302
    assert [path for path, _, _ in target.posts] == ["/hook?a=1", "/moved"]
    _, headers, body = target.posts[0]
    assert body == b"{}"
    assert headers["webhook-id"] == "7"


def test_only_public_hosts_are_posted_to(target):
    post = public_poster(Settings())
    assert post(f"http://127.0.0.1:{target.server_port}/hook", {}, b"{}") is None
    assert post("http://169.254.169.254/latest", {}, b"{}") is None
    assert post("http://[::1]/", {}, b"{}") is None
    assert target.posts == []


def test_a_host_that_does_not_answer_is_no_crash():
    post = public_poster(Settings(allow_loopback=True))
    assert post("http://127.0.0.1:9/hook", {}, b"{}") is None
