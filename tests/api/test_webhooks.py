"""Webhooks: signed, tried three times, not forgotten over a restart, to public hosts only."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from running import running, webhooks_of

from multitalk.errors import QueueUnavailable
from multitalk.serving.api.database import Database
from multitalk.serving.api.housekeeping import WEBHOOKS_SECONDS
from multitalk.serving.api.jobs.webhooks import (
    DELAY_SECONDS,
    PER_OWNER,
    public_poster,
    signed_headers,
    webhook_secret,
)
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.queue import Submission, new_job_id
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS, wait_until

RUN = "/v2/talk/run"
PAGE = Path(__file__).parents[2] / "docs" / "self-hosting.md"


class SetClock:
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
    return server.services.database.pending_webhooks(time.time() + 1e6)


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
    clock, receiver = SetClock(), Receiver(500, None, 404)
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


@pytest.mark.parametrize("status", [201, 202, 204])
def test_any_status_of_success_ends_the_tries(tmp_path, status):
    receiver = Receiver(status)
    with running(tmp_path, post=receiver) as server:
        send(server)
        receiver.wait(1)
        wait_until_settled(server)
    assert len(receiver.posts) == 1


def test_a_webhook_outlives_the_server(tmp_path):
    with running(tmp_path, post=Receiver(), works=False) as server:
        job = send(server)
    receiver = Receiver()
    with running(tmp_path, post=receiver):
        receiver.wait(1)
    assert json.loads(receiver.posts[0][2])["id"] == job


def test_a_purged_job_is_not_waited_for(tmp_path):
    clock = SetClock()
    with running(tmp_path, post=Receiver(), works=False, clock=clock) as server:
        send(server)
        with server.client() as client:
            client.post("/v2/talk/purge-queue")
        assert len(pending(server)) == 1
        clock.ahead += 61
        wait_until_settled(server)


def test_a_purged_job_s_end_is_not_posted_while_it_is_being_deleted(tmp_path, monkeypatch):
    async def die(job_id):
        raise QueueUnavailable("queue_failed", reason="killed")

    receiver, clock = Receiver(), SetClock()
    with running(tmp_path, works=False, keeps_house=False) as server:
        send(server)
        queue = server.services.queue
        monkeypatch.setattr(queue.media, "remove_job", die)
        with pytest.raises(QueueUnavailable):
            server.do(queue.purge())
        assert len(server.do(queue.ended_jobs())) == 1
        webhooks = webhooks_of(server.services, Metrics(), receiver, clock)
        server.do(webhooks.deliver_due())
        wait_until_settled(server)
        assert receiver.posts == []


class Silent:
    """Stands where hosts are that accept and never answer; `well.example` answers."""

    def __init__(self):
        self.held, self.answered, self.threads = 0, [], set()
        self.released = threading.Event()

    def __call__(self, url, headers, body):
        self.threads.add(threading.current_thread().name)
        if "well" in url:
            self.answered.append(json.loads(body)["id"])
            return 200
        self.held += 1
        self.released.wait(PATIENCE_SECONDS)
        return 200


def expect(server, owner, url):
    """Send a job that an owner's webhook is for."""
    job_id = new_job_id()
    server.services.database.expect_webhook(job_id, "http://here", now=time.time())
    given = Submission(input={"error": "x"}, owner=owner, webhook=url, job_id=job_id)
    server.do(server.services.queue.submit(given))
    return job_id


def test_hosts_that_never_answer_delay_neither_other_owners_nor_the_end_of_the_server(tmp_path):
    silent = Silent()
    try:
        with running(tmp_path, post=silent) as server:
            for number in range(12):
                expect(server, "a", f"https://silent{number}.example/")
            wait_until(lambda: silent.held >= PER_OWNER, says=lambda: silent.held)
            job = expect(server, "b", "https://well.example/")
            wait_until(lambda: job in silent.answered)
            if silent.threads != {"webhook"}:  # but those that serve files, which are waited for
                silent.released.set()
            assert silent.threads == {"webhook"}
            assert silent.held == PER_OWNER
        # It has ended although posts hang; they are made again after the next start.
        left = Database(tmp_path / "ledger.db")
        assert [webhook.tries for webhook in left.pending_webhooks(time.time() + 1e6)] == [0] * 12
        left.close()
    finally:
        silent.released.set()


def test_jobs_that_wait_are_not_looked_at_for_their_webhooks(tmp_path, monkeypatch):
    with running(tmp_path, works=False, keeps_house=False) as server:
        jobs = [expect(server, "", "https://example.com/") for _ in range(20)]
        receiver, asked = Receiver(), []
        webhooks = webhooks_of(server.services, Metrics(), receiver)
        get = server.services.queue.get

        async def watched(job_id):
            asked.append(job_id)
            return await get(job_id)

        monkeypatch.setattr(server.services.queue, "get", watched)
        for _ in range(3):
            server.do(webhooks.deliver_due())
        assert asked == []
        server.do(server.services.queue.cancel(jobs[3]))
        server.do(webhooks.deliver_due())
        receiver.wait(1)
        assert set(asked) == {jobs[3]}
        server.do(webhooks.close())


def test_a_job_that_is_sent_again_while_its_end_is_posted_is_posted_again(tmp_path):
    posts = []

    def receive(url, headers, body):
        posts.append(headers["webhook-id"])
        if len(posts) == 1:
            with server.client() as client:
                again = client.post(f"/v2/talk/retry/{json.loads(body)['id']}")
            assert again.status_code == 200
        return 200

    with running(tmp_path, post=receive) as server:
        job = send(server, input={"error": "no face"})
        wait_until(lambda: len(posts) >= 2, says=lambda: posts)
        wait_until_settled(server)
    assert posts == [f"{job}-0", f"{job}-1"]


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
