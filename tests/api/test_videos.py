"""Videos as files: ranges, links, live."""

import contextlib
import threading
import time

import httpx
import pytest
from obedient_worker import RESULT, VIDEO
from running import running

from multitalk.errors import Unauthorized
from multitalk.schema import JobStatus
from multitalk.serving.api.access.signed_urls import MAX_SECONDS, UrlSigner, read_secret
from multitalk.serving.queue import Outcome
from patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("videos")) as server:
        token = server.keys.add("owner")[1]
        with server.client(token) as client:
            sent = client.post("/v2/a/runsync", json={"input": {"pieces": 3}}).json()
            yield server, client, sent["id"]


def test_a_whole_video(served):
    _, client, job = served
    answer = client.get(f"/videos/{job}.mp4")
    assert answer.status_code == 200
    assert answer.content == VIDEO
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == f'inline; filename="talk-{job[:8]}.mp4"'
    download = client.get(f"/videos/{job}.mp4?download=1")
    assert download.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10000, len(VIDEO)),
        ("bytes=-5", len(VIDEO) - 5, len(VIDEO)),
        ("bytes=-99999999", 0, len(VIDEO)),
        ("bytes=5-99999999", 5, len(VIDEO)),
    ],
)
def test_a_range(served, asked, start, end):
    _, client, job = served
    answer = client.get(f"/videos/{job}.mp4", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == VIDEO[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(VIDEO)}"
    head = client.head(f"/videos/{job}.mp4", headers={"Range": asked})
    assert head.status_code == 206
    assert head.content == b""
    assert head.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={len(VIDEO)}-", "bytes=999999999-", "bytes=-0"])
def test_a_range_beyond_the_end(served, asked):
    _, client, job = served
    answer = client.get(f"/videos/{job}.mp4", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(VIDEO)}"


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=-", "bytes=0-1,5-6", "items=0-1", "x"])
def test_what_is_no_range_gets_the_whole(served, asked):
    _, client, job = served
    answer = client.get(f"/videos/{job}.mp4", headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.content == VIDEO


def test_a_video_that_is_there_already_is_not_sent_again(served):
    _, client, job = served
    etag = client.head(f"/videos/{job}.mp4").headers["etag"]
    again = client.get(f"/videos/{job}.mp4", headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.content == b""
    stale = {"Range": "bytes=0-3", "If-Range": '"another"'}
    assert client.get(f"/videos/{job}.mp4", headers=stale).status_code == 200
    fresh = {"Range": "bytes=0-3", "If-Range": etag}
    assert client.get(f"/videos/{job}.mp4", headers=fresh).status_code == 206


def test_the_link_of_the_status_needs_no_key(served):
    server, client, job = served
    reply = client.get(f"/v2/a/status/{job}?video=url").json()
    assert "video_base64" not in reply["output"]
    url = reply["output"]["video_url"]
    assert url.startswith(f"{server.url}/videos/{job}.mp4?")
    with server.client() as stranger:
        assert stranger.get(url).content == VIDEO
        assert stranger.get(f"/videos/{job}.mp4").status_code == 401
        live = url.replace(".mp4?", "/live.mp4?")
        assert stranger.get(live).status_code == 200
        for wrong in (url[:-1], url.replace("expires=1", "expires=2"), url + "0"):
            assert stranger.get(wrong).status_code == 401, wrong
        other = url.replace(job, "00000000-0000-4000-8000-000000000000")
        assert stranger.get(other).status_code == 401


def test_a_large_video_is_a_link_and_a_small_one_is_not(tmp_path):
    with (
        running(tmp_path, max_run_bytes=60_000, max_runsync_bytes=90_000) as server,
        server.client() as client,
    ):
        sent = client.post("/v2/a/runsync", json={"input": {"size": 5}}).json()
        assert "video_base64" in sent["output"]  # 20 MB in an answer of /runsync
        reply = client.get(f"/v2/a/status/{sent['id']}").json()
        assert "video_url" in reply["output"]  # 10 MB in one of /status
        assert client.get(reply["output"]["video_url"]).content == VIDEO * 5
    base = "https://talks.example/api"
    with (
        running(tmp_path / "b", max_runsync_bytes=1000, base_url=base) as server,
        server.client() as client,
    ):
        reply = client.post("/v2/a/runsync", json={"input": {"size": 1}}).json()
        assert reply["output"]["video_url"].startswith(f"{base}/videos/")


def test_links_end_and_cannot_be_made_without_the_secret(tmp_path):
    secret = read_secret(tmp_path / "secret")
    assert read_secret(tmp_path / "secret") == secret
    assert len(secret) == 32
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    signer = UrlSigner(secret)
    now = 1_000_000.0
    expires, signature = (part.split("=")[1] for part in signer.query("job", now=now).split("&"))
    signer.check("job", expires, signature, now=now)
    signer.check("job", expires, signature, now=now + MAX_SECONDS - 3600)
    for job, until, sign, when in (
        ("job", expires, signature, now + MAX_SECONDS),
        ("other", expires, signature, now),
        ("job", str(int(expires) + 1), signature, now),
        ("job", expires, signature.upper(), now),
        ("job", "", "", now),
        ("job", "٣", signature, now),
        ("job", expires, "é", now),
    ):
        with pytest.raises(Unauthorized):
            signer.check(job, until, sign, now=when)
    with pytest.raises(Unauthorized):
        UrlSigner(b"another").check("job", expires, signature, now=now)


def test_a_job_without_a_video_has_none(served):
    _, client, _ = served
    failed = client.post("/v2/a/runsync", json={"input": {"error": "x"}}).json()["id"]
    assert client.get(f"/videos/{failed}.mp4").status_code == 404
    assert client.get(f"/videos/{failed}/live.mp4").status_code == 204


def test_live_is_all_pieces_and_again_from_the_start(served):
    _, client, job = served
    for _ in range(2):
        answer = client.get(f"/videos/{job}/live.mp4")
        assert answer.content == b"piece 0piece 1piece 2"
        assert answer.headers["content-type"].startswith("video/mp4")


def test_live_begins_before_the_end(tmp_path):
    """The pieces come one by one; who listens has the first while the last is not there."""
    with running(tmp_path, works=False) as server, server.client() as client:
        job = client.post("/v2/a/run", json={"input": {}}).json()
        assert job["id"]
        queue = server.services.queue
        lease = server.do(queue.claim("worker", wait=PATIENCE_SECONDS))
        got = []
        first_came = threading.Event()

        def listen():
            with client.stream("GET", f"/videos/{job['id']}/live.mp4") as answer:
                for chunk in answer.iter_raw():
                    got.append(chunk)
                    first_came.set()

        listener = threading.Thread(target=listen)
        listener.start()
        for number in range(2):
            add(server, lease, number)
            assert first_came.wait(PATIENCE_SECONDS)
        assert listener.is_alive()
        finish(server, lease)
        listener.join(PATIENCE_SECONDS)
        assert b"".join(got) == b"p0p1"


def test_live_is_cut_where_another_attempt_begins_and_no_traceback_is_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    with running(tmp_path, works=False) as server, server.client() as client:
        job = client.post("/v2/a/run", json={"input": {}}).json()["id"]
        queue = server.services.queue
        lease = server.do(queue.claim("lost", wait=PATIENCE_SECONDS))
        add(server, lease, 0)
        add(server, lease, 1)
        with client.stream("GET", f"/videos/{job}/live.mp4") as answer:
            received = answer.iter_raw()
            assert next(received) == b"p0"
            server.do(queue.release(lease))
            lease = server.do(queue.claim("other", wait=PATIENCE_SECONDS))
            add(server, lease, 0)
            finish(server, lease)
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in received:
                    pass
        assert client.get(f"/videos/{job}/live.mp4").content == b"p0"
    assert [record for record in caplog.records if record.exc_info] == []
    assert "another attempt at the job began" in caplog.text


def test_who_watches_or_waits_is_let_go_when_the_server_ends(tmp_path, caplog):
    caplog.set_level("INFO")
    ends = {}
    with contextlib.ExitStack() as stack, running(tmp_path, works=False) as server:
        client = stack.enter_context(server.client(timeout=100))
        job, waiting = (
            client.post("/v2/a/run", json={"input": {"n": n}}).json()["id"] for n in (1, 2)
        )
        lease = server.do(server.services.queue.claim("worker", wait=PATIENCE_SECONDS))
        add(server, lease, 0)

        def watch():
            with client.stream("GET", f"/videos/{job}/live.mp4") as answer:
                received = answer.iter_raw()
                assert next(received) == b"p0"
                with pytest.raises(httpx.RemoteProtocolError):
                    next(received)
                ends["watching"] = "cut"

        def wait_for_video():
            ends["early"] = client.get(f"/videos/{waiting}/live.mp4").json()["code"]

        def wait_for_end():
            answer = client.post("/v2/a/runsync?wait=300000", json={"input": {"n": 3}})
            ends["runsync"] = answer.json()["status"]

        threads = [threading.Thread(target=do) for do in (watch, wait_for_video, wait_for_end)]
        for thread in threads:
            thread.start()
        while server.open_requests() < len(threads):
            assert all(thread.is_alive() for thread in threads)
            time.sleep(0.02)
        while server.do(server.services.queue.counts()).in_queue < 2:
            time.sleep(0.02)
        stack.callback(lambda: [thread.join() for thread in threads])
    assert ends == {"watching": "cut", "early": "server_stopping", "runsync": "IN_QUEUE"}
    assert [record for record in caplog.records if record.exc_info] == []


def add(server, lease, number):
    queue = server.services.queue
    name = server.do(queue.media.put(b"p%d" % number, job_id=lease.job.id, suffix=".mp4"))
    piece = {"segment": number, "start": 0.0, "frames": 1, "video": name}
    assert server.do(queue.add_fragment(lease, piece))


def finish(server, lease):
    queue = server.services.queue
    name = server.do(queue.media.put(VIDEO, job_id=lease.job.id, suffix=".mp4"))
    outcome = Outcome(status=JobStatus.COMPLETED, output={**RESULT, "video": name})
    assert server.do(queue.finish(lease, outcome))
