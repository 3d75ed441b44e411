"""examples/client.py against a real server: it ends with a sentence, whatever goes wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from obedient_worker import VIDEO
from running import running

from patience import PATIENCE_SECONDS

CLIENT = Path(__file__).parents[2] / "examples" / "client.py"


def command(*arguments):
    return [sys.executable, str(CLIENT), *map(str, arguments)]


def environment(key=""):
    return {**os.environ, "RUNPOD_API_KEY": key}


def ask(*arguments, directory, key=""):
    """What it says on stderr, and its exit code; never a traceback."""
    done = subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environment(key),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def place(tmp_path):
    (tmp_path / "me.jpg").write_bytes(b"\xff\xd8 a picture")
    return tmp_path


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("client") / "data") as server:
        yield server, server.keys.add("client")[1]


TALK = ("talks", "me.jpg", "--text", "Hello.")


def test_it_saves_the_video(served, place):
    server, key = served
    code, said = ask(*TALK, "--url", f"{server.url}/v2", directory=place, key=key)
    assert code == 0, said
    assert (place / "talk.mp4").read_bytes() == VIDEO
    assert sorted(path.name for path in place.iterdir()) == ["me.jpg", "talk.mp4"]


def test_it_saves_a_video_that_is_at_an_address(place):
    with running(place / "data", max_run_bytes=5000) as server:
        code, said = ask(*TALK, "-o", "t.mp4", "--url", f"{server.url}/v2", directory=place)
    assert code == 0, said
    assert (place / "t.mp4").read_bytes() == VIDEO


def test_a_key_that_is_missing_or_wrong_is_told(served, place):
    server, _ = served
    url = f"{server.url}/v2"
    code, said = ask(*TALK, "--url", url, directory=place)
    assert (code, said) == (1, f"{url} wants a key, and RUNPOD_API_KEY is not set\n")
    code, said = ask(*TALK, "--url", url, directory=place, key="wrong")
    assert (code, said) == (
        1,
        f"{url} wants a key, and RUNPOD_API_KEY is not a key that it knows\n",
    )
    code, said = ask(*TALK, "--url", url, directory=place, key="se\ncret")
    assert (code, said) == (1, "RUNPOD_API_KEY has characters that no key has\n")


@contextmanager
def answering(*answers):
    """An endpoint that gives these answers, (status, body) each, and then the last again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = left.pop(0) if len(left) > 1 else left[0]
            if status is None:
                return  # the connection is closed without an answer
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v2"
        finally:
            server.shutdown()
            thread.join()


SENT = (200, {"id": "job-1", "status": "IN_QUEUE"})


def ended(status, **more):
    return (200, {"id": "job-1", "status": status, **more})


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(404, {"error": "no such place"})], "there is no endpoint talks at .*no such place"),
        ([(404, b"<html>")], "there is no endpoint talks at "),
        ([(405, {"error": "not here"})], "there is no endpoint talks at .*not here"),
        ([(413, b"")], "answers 413: the picture and the recording are too large"),
        ([(429, {"error": "slower"})], "answers 429: slower"),
        ([(500, b"<html>")], "answers 500: "),
        ([(200, b"<html>hello")], "is no endpoint's address"),
        ([(200, [1, 2])], "does not answer as endpoints do"),
        ([(None, b"")], "does not answer: "),
        ([SENT, ended("FAILED", error="no face", output={})], "^FAILED: no face\n$"),
        ([SENT, ended("TIMED_OUT")], "^TIMED_OUT: no reason was given\n$"),
        ([SENT, ended("COMPLETED", output=[])], "ended without a video; its output: \\[\\]"),
        ([SENT, ended("COMPLETED")], "ended without a video; its output: None"),
        ([SENT, ended("COMPLETED", output={"video_path": "/v/a.mp4"})], "volume: /v/a.mp4"),
        ([SENT, ended("COMPLETED", output={"video_url": "file:///etc/passwd"})], "without a video"),
        ([SENT, ended("COMPLETED", output={"video_base64": "a"})], "talk.mp4 could not be saved: "),
        ([SENT, (404, {"error": "job unknown"})], "job job-1: .*job unknown"),
        ([SENT, ended("IN_QUEUE")], "job job-1 has not ended within 0.1 s"),
    ],
)
def test_an_answer_that_is_no_video_is_told(place, answers, said):
    with answering(*answers) as url:
        code, told = ask(*TALK, "--url", url, "--wait", "0.1", directory=place)
    assert code == 1
    assert re.search(said, told), told
    assert [path.name for path in place.iterdir()] == ["me.jpg"]


def test_a_status_that_is_out_of_reach_for_a_moment_is_asked_for_again(place):
    done = ended("COMPLETED", output={"video_base64": "YQ==", "warnings": ["careful"]})
    with answering(SENT, (503, b""), (None, b""), done) as url:
        code, told = ask(*TALK, "--url", url, directory=place)
    assert code == 0, told
    assert told.count("trying again: ") == 2
    assert "note: careful" in told


def test_nobody_at_the_address_is_told(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address in (f"http://127.0.0.1:{port}/v2", "http://nowhere.invalid/v2"):
        code, said = ask(*TALK, "--url", address, directory=place)
        assert code == 1
        assert f"{address} does not answer: " in said
        assert "multitalk serve" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("talks", "none.jpg", "--text", "Hi"), "none.jpg: No such file or directory"),
        (("talks", ".", "--text", "Hi"), ".: Is a directory"),
        (("talks", "me.jpg", "--audio", "none.wav"), "none.wav: No such file or directory"),
        ((*TALK, "-o", "none/talk.mp4"), "none/talk.mp4 cannot be written"),
        ((*TALK, "-o", "."), ". cannot be written"),
        ((*TALK, "--url", "localhost:8000/v2"), "it begins with http:// or https://"),
        (("talks", "large.jpg", "--text", "Hi"), "picture and voice are 12.0 MB as text"),
    ],
)
def test_what_was_typed_wrong_is_told(place, arguments, said):
    (place / "large.jpg").write_bytes(bytes(9_000_000))
    url = () if "--url" in arguments else ("--url", "http://127.0.0.1:9/v2")
    code, told = ask(*arguments, *url, directory=place)
    assert code == 1
    assert said in told


def test_ctrl_c_cancels_the_job(place):
    with running(place / "data", works=False) as server, server.client() as client:
        process = subprocess.Popen(
            command(*TALK, "--url", f"{server.url}/v2"),
            cwd=place,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stderr.readline() == "IN_QUEUE\n"
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(PATIENCE_SECONDS) == 130
        (job,) = client.get("/v2/talks/requests").json()["requests"]
    assert job["status"] == "CANCELLED"
    assert said == f"cancelling job {job['id']}\nstopped\n"


def test_its_help_teaches(place):
    done = subprocess.run(command("--help"), capture_output=True, text=True, check=True)
    for word in ("multitalk serve", "RUNPOD_API_KEY", "--url http://127.0.0.1:8000/v2", "130"):
        assert word in done.stdout
