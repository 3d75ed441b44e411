"""One command starts all: an API, and a worker that renders; and all of it ends, or survives."""

import io
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import pytest
from running import ended
from served import Served, gone, is_alive

from multitalk.serving.api.access.keys import KeyRing
from patience import PATIENCE_SECONDS, wait_until

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
TALK = "/v2/talk"


def order(client, text):
    source = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
    return {
        "input": {
            "prompt": "a talk",
            "image_path": source,
            "audio_paths": {"person1": {"text": text, "language": "en"}},
            "resolution": "480p",
            "seed": 7,
        }
    }


def num_frames(content):
    """Frames of an MP4, or of the beginning of a fragmented one."""
    with av.open(io.BytesIO(content)) as container:
        return sum(1 for _ in container.decode(video=0))


def in_progress(client, job):
    end = time.monotonic() + PATIENCE_SECONDS
    while (status := client.get(f"{TALK}/status/{job}").json()["status"]) != "IN_PROGRESS":
        assert status == "IN_QUEUE"
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_command_renders_streams_and_ends(tmp_path):
    with Served(tmp_path / "data") as served, served.client() as client:
        assert served.engine == "warp"
        words = "Hello there. This is a talk of some seconds, seen while it is made. "
        body = order(client, words * 2)  # not yet made when its first piece comes, late as it may
        job = client.post(f"{TALK}/run", json=body).json()["id"]
        with client.stream("GET", f"/videos/{job}/live.mp4") as answer:
            assert 'codecs="avc1.' in answer.headers["content-type"]
            received = answer.iter_raw()
            content = next(received)
            status = client.get(f"{TALK}/status/{job}").json()
            assert status["status"] == "IN_PROGRESS"  # seen while it is made
            early = content
            while b"mdat" not in early:
                early += next(received)
            content = early + b"".join(received)
        reply = ended(client, job, video="url")
        output = reply["output"]
        assert num_frames(content) == output["num_frames"] > 50
        assert (reply["status"], output["engine"], output["seed"]) == ("COMPLETED", "warp", 7)
        finished = client.get(output["video_url"])
        assert num_frames(finished.content) == output["num_frames"]
        pieces = []
        while batch := client.get(f"{TALK}/stream/{job}").json()["stream"]:
            pieces += batch
        assert sum(piece["output"]["frames"] for piece in pieces) == output["num_frames"]
        about_job = [record for record in served.records() if record.get("job_id") == job]
        assert about_job
        (worker,) = served.workers
        assert is_alive(worker)
        served.end()
        assert gone(worker)


def test_two_servers_share_neither_port_nor_directory(tmp_path):
    with Served(tmp_path / "data", "--workers", "0") as served:
        port = served.url.rpartition(":")[2]
        with pytest.raises(AssertionError, match="--port: cannot listen"):
            Served(tmp_path / "other", "--workers", "0", "--port", port).__enter__()
        with pytest.raises(AssertionError, match="--data: another server") as refused:
            Served(tmp_path / "data", "--workers", "0").__enter__()
        assert "Traceback" not in str(refused.value)
        served.end(signal.SIGINT)


def test_a_public_bind_is_refused_until_there_is_a_key(tmp_path):
    options = ("--workers", "0", "--host", "0.0.0.0")
    with pytest.raises(AssertionError, match="multitalk keys add"):
        Served(tmp_path / "data", *options).__enter__()
    KeyRing(tmp_path / "data" / "keys.json").add("one")
    with Served(tmp_path / "data", *options) as served, served.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get(f"{TALK}/health").status_code == 401


class Hook(BaseHTTPRequestHandler):
    """Counts webhooks."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.ids.append(self.headers["webhook-id"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        server.ids = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_job_survives_the_kill_of_worker_and_server_and_ends_once(tmp_path, hook):
    text = "One, two, three, four, five, six, seven, eight, nine, ten."
    with Served(tmp_path / "data") as served, served.client() as client:
        body = {**order(client, text), "webhook": f"http://127.0.0.1:{hook.server_port}/"}
        header = {"Idempotency-Key": "once"}
        job = client.post(f"{TALK}/run", json=body, headers=header).json()["id"]
        in_progress(client, job)
        os.kill(served.workers[0], signal.SIGKILL)
        served.wait_for_workers(2)  # a new one in its place
        assert client.get("/healthz").status_code == 200
        served.process.kill()
        served.process.wait()
        assert gone(served.workers[1])  # a killed server's worker goes with it
    with Served(tmp_path / "data") as served, served.client() as client:
        again = client.post(f"{TALK}/run", json=body, headers=header).json()["id"]
        assert again == job
        reply = ended(client, job, video="url")
        assert reply["status"] == "COMPLETED"
        assert len(client.get(f"{TALK}/requests").json()["requests"]) == 1
        content = client.get(f"/videos/{job}/live.mp4").content
        assert num_frames(content) == reply["output"]["num_frames"]
        wait_until(lambda: hook.ids)
        served.end()
    assert len(hook.ids) == 1
