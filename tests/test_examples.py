"""Every example is run."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fake_engine import FakeEngine
from multitalk.cli.app import app
from multitalk.errors import MultiTalkError
from multitalk.media.video import probe
from multitalk.schema import ErrorReply
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS
from run_jobs import deliver_job

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_example_request_renders(tmp_path: Path) -> None:
    output = tmp_path / "talk.mp4"
    options = ["--mode", "clip", "--quality", "draft", "-o", str(output)]
    options += ["--phonemes", str(tmp_path / "sounds.json")]
    done = CliRunner().invoke(
        app, ["render", "--request", str(EXAMPLES / "request.json"), *options]
    )
    assert done.exit_code == 0, done.stderr
    assert probe(output).num_frames == 81
    sounds = json.loads((tmp_path / "sounds.json").read_text())
    assert sounds[-1]["end_seconds"] > 7  # of both sentences


PROGRESS = {"stage": "render", "done": 3, "total": 7}


class OneJobEndpoint(BaseHTTPRequestHandler):
    """RunPod's public side for one job at a time, which runs while its status is asked for."""

    jobs: dict[str, object]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.jobs["job-1"] = body["input"]
        self._answer({"id": "job-1", "status": "IN_QUEUE"})

    def do_GET(self) -> None:
        given = self.jobs.pop("job-1")
        if "asked" not in self.jobs:
            self.jobs["asked"] = self.jobs["job-1"] = given
            self._answer({"id": "job-1", "status": "IN_PROGRESS", "output": PROGRESS})
            return
        settings = Settings()
        try:
            result = deliver_job(given, FakeEngine(), settings)
        except MultiTalkError as error:
            reply = ErrorReply.of(error, "en").reply()
            sentence = reply.pop("error")
            self._answer({"id": "job-1", "status": "FAILED", "error": sentence, "output": reply})
        else:
            self._answer({"id": "job-1", "status": "COMPLETED", "output": result.reply()})

    def _answer(self, record: object) -> None:
        assert self.path.startswith("/v2/endpoint-1/")
        assert self.headers["Authorization"] == "Bearer key-1"
        content = json.dumps(record).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def endpoint() -> Iterator[str]:
    handler = type("Handler", (OneJobEndpoint,), {"jobs": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v2"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("text", "code"), [("Hello.", 0), ("?!", 1)])
def test_the_client_saves_the_video_or_says_why_there_is_none(
    tmp_path: Path, text: str, code: int
) -> None:
    output = tmp_path / "talk.mp4"
    with endpoint() as url:
        command = [sys.executable, str(EXAMPLES / "client.py"), "endpoint-1"]
        command += [str(EXAMPLES / "astronaut.jpg"), "--text", text, "-o", str(output)]
        done = subprocess.run(
            [*command, "--url", url],
            env={**os.environ, "RUNPOD_API_KEY": "key-1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == code, done.stderr
    assert "IN_PROGRESS: render 3 of 7" in done.stderr
    if code == 0:
        assert probe(output).num_frames > 5
    else:
        assert "FAILED: audio_paths.person1.text" in done.stderr
