"""`multitalk serve` at a terminal: lines for people, the address last, and Ctrl-C."""

import json
import re
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from running import running
from served import READY, WORKER, gone
from terminal import CTRL_C, Terminal

from multitalk.cli.doctor import find_server
from multitalk.serving.api.access.keys import open_keys
from multitalk.serving.api.data_directory import lock_data_directory
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
TALK = "/v2/talk"
LINE = re.compile(r"\d\d:\d\d:\d\d  \S")


@pytest.fixture
def environ(tmp_path):
    state = tmp_path / "state"
    return {"MULTITALK_STATE_DIRECTORY": str(state), "MULTITALK_WORK_DIRECTORY": str(tmp_path)}


def address_of(lines):
    return READY.search(lines[-1])[1]


def long_order(client):
    """A talk of a minute."""
    source = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
    text = "One, two, three, four, five, six, seven. " * 20
    voice = {"person1": {"text": text, "language": "en"}}
    given = {"prompt": "a talk", "image_path": source, "audio_paths": voice}
    return {"input": {**given, "resolution": "480p"}}


def watch(url, job, seen):
    """A page that shows a video while it is made; until the connection ends."""
    try:
        with httpx.stream(
            "GET", f"{url}/videos/{job}/live.mp4", timeout=PATIENCE_SECONDS
        ) as answer:
            for _ in answer.iter_raw():
                seen.append(job)
    except httpx.TransportError as error:
        seen.append(type(error).__name__)


def test_at_a_terminal_the_address_is_last_and_two_ctrl_c_end_a_server_that_is_watched(
    tmp_path, environ
):
    with Terminal("serve", "--port", "0", directory=tmp_path, **environ) as terminal:
        lines = terminal.wait_for(
            lambda lines: any("worker ready" in line for line in lines) and READY.search(lines[-1])
        )
        assert all(LINE.match(line) or READY.match(line) for line in lines), lines
        assert str(tmp_path / "state" / "server") in lines[0]
        worker = int(WORKER.search("\n".join(lines))[1])
        url, seen = address_of(lines), []
        with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            assert client.get(f"{TALK}/health").json()["workers"]["ready"] == 1
            job = client.post(f"{TALK}/run", json=long_order(client)).json()["id"]
            watcher = threading.Thread(target=watch, args=(url, job, seen))
            watcher.start()
            while not seen:
                assert watcher.is_alive()
                time.sleep(0.05)
        terminal.type(CTRL_C)
        watcher.join()
        assert seen[-1] == "RemoteProtocolError"
        terminal.wait_for(lambda lines: any("a second Ctrl-C ends at once" in at for at in lines))
        assert terminal.process.poll() is None  # the job has some seconds to end
        terminal.type(CTRL_C)
        assert terminal.exit_code() == 130
        assert gone(worker)
        said = "\n".join(terminal.lines)
        assert not re.search("Traceback|Exception|Error", said), said
        assert terminal.lines[-1] == "stopped"
    with running(tmp_path / "state" / "server", works=False) as server, server.client() as client:
        assert client.get(f"{TALK}/status/{job}").json()["status"] == "IN_QUEUE"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_each_way_to_end_a_server_is_quiet_and_has_its_code(tmp_path, environ, number, code):
    options = ("--port", "0", "--workers", "0")
    with Terminal("serve", *options, directory=tmp_path, **environ) as terminal:
        terminal.wait_for(lambda lines: lines and READY.search(lines[-1]))
        terminal.process.send_signal(number)
        assert terminal.exit_code() == code
        assert not re.search("Traceback|Exception|[Ee]rror", "\n".join(terminal.lines))


def test_an_engine_that_cannot_run_here_is_told_before_workers_are_started(tmp_path, environ):
    with Terminal(
        *("serve", "--port", "0", "--engine", "diffusion"),
        directory=tmp_path,
        **environ,
        MULTITALK_WEIGHTS=str(tmp_path / "none"),
    ) as terminal:
        assert terminal.exit_code() == 1
        said = " ".join(terminal.lines)
        assert "the diffusion engine needs" in said
        assert "process" not in said


def test_at_a_terminal_json_is_an_option_and_ctrl_c_ends_an_idle_server(tmp_path, environ):
    options = ("--port", "0", "--workers", "0", "--log-format", "json")
    with Terminal("serve", *options, directory=tmp_path, **environ) as terminal:
        terminal.wait_for(lambda lines: any(READY.search(line) for line in lines))
        terminal.type(CTRL_C)
        assert terminal.exit_code() == 130
        records = [json.loads(line) for line in terminal.lines if line.startswith("{")]
        assert records
        assert not any("traceback" in record for record in records)


def test_doctor_says_where_the_server_keeps_what_it_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(state_directory=tmp_path / "state")
    place = tmp_path / "state" / "server"
    found = find_server(settings)
    assert found.works is None
    assert f"in {place}" in found.said
    open_keys(place).add("laptop")
    with lock_data_directory(place):
        running_now = find_server(settings)
    assert (running_now.works, running_now.said) == (True, f"runs; 1 key; in {place}")
    (tmp_path / "multitalk-data").mkdir()
    (tmp_path / "multitalk-data" / "queue.db").touch()
    found = find_server(settings)
    assert found.said.startswith("does not run; 1 key")
    assert "multitalk serve --data multitalk-data" in found.said
    (place / "keys.json").write_text("{")
    assert find_server(settings).works is False


def test_keys_and_server_have_one_directory_and_an_earlier_one_is_named(tmp_path, environ):
    (tmp_path / "out" / "serve").mkdir(parents=True)
    (tmp_path / "out" / "serve" / "keys.json").write_text("[]")
    with Terminal("keys", "add", "laptop", directory=tmp_path, **environ) as terminal:
        assert terminal.exit_code() == 0
        said = " ".join(terminal.lines)
        assert "--data out/serve" in said
        key = terminal.lines[-1]
    options = ("--port", "0", "--workers", "0")
    with Terminal("serve", *options, directory=tmp_path, **environ) as terminal:
        lines = terminal.wait_for(lambda lines: lines and READY.search(lines[-1]))
        assert "--data out/serve" in " ".join(lines)
        health = f"{address_of(lines)}{TALK}/health"
        assert httpx.get(health, timeout=PATIENCE_SECONDS).status_code == 401
        authorized = httpx.get(health, headers={"Authorization": key}, timeout=PATIENCE_SECONDS)
        assert authorized.status_code == 200
        terminal.type(CTRL_C)
        assert terminal.exit_code() == 130
