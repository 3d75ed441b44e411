"""The entrypoint: a role becomes the process, and what could not work is told before."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from multitalk.cli.app import app
from multitalk.job.self_test import disk_needed
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "entrypoint.sh"


@dataclass
class RunContainer:
    """A shell's world: programs that say how they were called, and an environment."""

    programs: Path
    environment: dict[str, str]
    script: Path = SCRIPT

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["/bin/sh", str(self.script), *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str, int]:
        """Exit code, what was said, what was complained of, process id."""
        with self.start(*arguments) as process:
            said, complained = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, said, complained, process.pid


@pytest.fixture
def container(tmp_path: Path) -> RunContainer:
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    made = RunContainer(
        programs,
        {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(work),
        },
    )
    made.program("python", 'echo "python $$ $*"')
    made.program("multitalk", 'echo "multitalk $* weights=${MULTITALK_WEIGHTS:-}"')
    made.program("nvidia-smi", "exit 1")
    return made


@pytest.mark.parametrize("arguments", [(), ("worker",)])
def test_the_worker_is_the_default_and_becomes_the_process(container, arguments):
    code, said, complained, pid = container.run(*arguments)
    assert (code, complained) == (0, "")
    assert said == f"python {pid} -u {ROOT}/handler.py\n"


@pytest.mark.parametrize(
    ("environment", "ports"),
    [
        ({}, "--port 80 --health-port 80"),
        ({"PORT": "8000"}, "--port 8000 --health-port 8000"),
        ({"PORT": "8000", "PORT_HEALTH": "8001"}, "--port 8000 --health-port 8001"),
    ],
)
def test_a_load_balancing_endpoint_s_ports_are_the_server_s(container, environment, ports):
    container.environment |= environment
    code, said, _, _ = container.run("load-balancing", "--workers", "0")
    assert code == 0
    assert said.startswith(f"multitalk serve --host 0.0.0.0 {ports} --workers 0 ")


def test_a_worker_s_arguments_are_the_handler_s(container):
    assert container.run("worker", "--test_input", "{}")[1].endswith("handler.py --test_input {}\n")


def test_a_worker_takes_the_signals_of_the_container(container):
    wait = "sleep 30 >/dev/null 2>&1 & nap=$!"
    drain = "trap 'kill $nap; echo drained; exit 7' TERM"
    container.program("python", f"{wait}\n{drain}\necho ready\nwait $nap")
    with container.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "drained\n"
    assert process.returncode == 7


COMMANDS = {
    *(command.callback.__name__ for command in app.registered_commands if command.callback),
    *(group.name for group in app.registered_groups if group.name),
}


@pytest.mark.parametrize("command", sorted(COMMANDS - {"serve", "work"}))
def test_a_command_of_ours_is_a_role(container, command):
    assert container.run(command, "--help")[1].startswith(f"multitalk {command} --help")


def test_anything_else_is_run_as_it_stands(container):
    assert container.run("echo", "a  b")[1] == "a  b\n"


@pytest.mark.parametrize("role", ["serve", "work"])
def test_a_server_and_a_queue_s_worker_start_as_a_worker_does(container, role):
    assert container.run(role, "--help")[1].startswith(f"multitalk {role} --help")
    container.environment["MULTITALK_WORK_DIRECTORY"] = "/nowhere"
    code, said, complained, _ = container.run(role)
    assert (code, said) == (1, "")
    assert "/nowhere cannot be written" in complained


def test_a_work_directory_that_cannot_be_used_ends_the_container(container):
    container.environment["MULTITALK_WORK_DIRECTORY"] = "/nowhere"
    code, said, complained, _ = container.run()
    assert (code, said) == (1, "")
    assert "/nowhere cannot be written" in complained
    assert "MULTITALK_WORK_DIRECTORY" in complained


def test_a_full_disk_ends_the_container(container):
    container.program("df", "echo head; echo 'disk 100 90 10 90% /'")
    code, _, complained, _ = container.run()
    assert code == 1
    assert "has 10 MB free, 1280 may be needed" in complained


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"max_image_bytes": 900 * 2**20},
        {"max_video_bytes": 5 * 2**20, "max_audio_bytes": 7 * 2**20},
    ],
)
def test_the_container_and_its_worker_want_the_same_room(container, limits):
    needed = disk_needed(Settings(**limits)) // 2**20
    for name, value in limits.items():
        container.environment[f"MULTITALK_{name.upper()}"] = str(value)
    for free, code in ((needed - 1, 1), (needed, 0)):
        container.program("df", f"echo head; echo 'disk 9 9 {free} 9% /'")
        assert container.run()[0] == code


def test_a_place_for_results_that_cannot_be_written_ends_the_container(container):
    container.environment["MULTITALK_VOLUME"] = "/dev/null/results"
    code, _, complained, _ = container.run()
    assert code == 1
    assert "MULTITALK_VOLUME=/dev/null/results cannot be written" in complained
    assert "chown" in complained


def test_a_place_for_results_is_made(container, tmp_path):
    container.environment["MULTITALK_VOLUME"] = str(tmp_path / "volume" / "results")
    assert container.run()[0] == 0
    assert (tmp_path / "volume" / "results").is_dir()


def test_the_gpu_image_says_what_it_lacks_and_starts(container):
    container.environment["IMAGE_TARGET"] = "gpu"
    code, said, complained, _ = container.run()
    assert code == 0
    assert said.startswith("python")
    assert "no GPU is visible" in complained
    assert "FETCH_WEIGHTS=int8-fusionx" in complained


def test_the_gpu_image_says_nothing_where_all_is_there(container, tmp_path):
    container.program("nvidia-smi", "exit 0")
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "a").touch()
    container.environment |= {"IMAGE_TARGET": "gpu", "MULTITALK_WEIGHTS": str(weights)}
    assert container.run()[2] == ""


def test_weights_are_fetched_before_the_worker_starts_and_told_to_it(container):
    container.program("python", 'echo "python weights=$MULTITALK_WEIGHTS"')
    container.environment |= {"IMAGE_TARGET": "gpu", "FETCH_WEIGHTS": "int8-fusionx"}
    code, said, _, _ = container.run()
    place = container.environment["HOME"] + "/weights"
    assert code == 0
    assert said.splitlines() == [
        f"multitalk fetch int8-fusionx weights={place}",
        f"python weights={place}",
    ]


@pytest.mark.parametrize(
    "kept",
    [
        "/runpod-volume/huggingface-cache/hub/models--a--b/snapshots/c",
        "/runpod/model-store/huggingface/a/b/c",
    ],
)
def test_nothing_is_fetched_where_the_platform_keeps_the_set(container, tmp_path, kept):
    (tmp_path / kept[1:]).mkdir(parents=True)
    script = tmp_path / "entrypoint.sh"  # with the platform's paths below one of ours
    script.write_text(SCRIPT.read_text().replace("=/runpod", f"={tmp_path}/runpod"))
    container.script = script
    container.program("python", 'echo "python weights=$MULTITALK_WEIGHTS"')
    container.environment |= {"IMAGE_TARGET": "gpu", "FETCH_WEIGHTS": "int8-fusionx"}
    code, said, complained, _ = container.run()
    assert (code, said) == (0, f"python weights={tmp_path}{kept}\n"), complained
    container.program("multitalk", '[ "$3" != --offline ] && echo "multitalk $*"')
    assert container.run()[1].startswith("multitalk fetch int8-fusionx\n")


def test_weights_that_cannot_be_fetched_end_the_container(container):
    container.program("multitalk", "exit 1")
    container.environment |= {"IMAGE_TARGET": "gpu", "FETCH_WEIGHTS": "int8-fusionx"}
    code, said, complained, _ = container.run()
    assert (code, said) == (1, "")
    assert "could not be fetched" in complained


@pytest.mark.parametrize("noted", [None, "", "-1", "0", "1x", "01", "link"])
def test_a_container_of_which_nothing_is_known_is_not_well(container, tmp_path, noted):
    state = tmp_path / "work" / "multitalk-worker.pid"
    if noted == "link":
        (tmp_path / "other").write_text(f"{os.getpid()}\n")
        state.symlink_to(tmp_path / "other")
    elif noted is not None:
        state.write_text(f"{noted}\n")
    code, _, complained, _ = container.run("health")
    assert code == 1
    assert "nothing is known to run here" in complained


def test_a_link_in_place_of_the_process_id_is_not_followed(container, tmp_path):
    (tmp_path / "other").write_text("kept")
    (tmp_path / "work" / "multitalk-worker.pid").symlink_to(tmp_path / "other")
    assert container.run()[0] == 0
    assert (tmp_path / "other").read_text() == "kept"


def test_a_command_is_well_and_takes_no_other_s_place(container, tmp_path):
    container.program("multitalk", "exec sh $0.more")
    (container.programs / "multitalk.more").write_text(f"/bin/sh {SCRIPT} health && echo well")
    assert container.run("doctor")[1] == "well\n"
    state = tmp_path / "work" / "multitalk-worker.pid"
    state.write_text(f"{os.getpid()}\n")
    assert container.run("doctor")[1] == "well\n"
    assert container.run("echo", "a")[0] == 0
    assert state.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ((), "http://127.0.0.1:8000"),
        (("--host", "0.0.0.0", "--port", "80"), "http://127.0.0.1:80"),
        (("--port=81", "--host=::", "--data", "/data"), "http://[::1]:81"),
        (("--host", "fd00::7"), "http://[fd00::7]:8000"),
        (("--port", "0"), ""),
    ],
)
def test_a_server_is_asked_where_it_listens(container, tmp_path, options, url):
    code, said, _, pid = container.run("serve", *options)
    assert (code, said.split(" weights=")[0]) == (0, " ".join(["multitalk serve", *options]))
    noted = (tmp_path / "work" / "multitalk-worker.pid").read_text()
    assert noted.rstrip() == f"{pid} {url}".rstrip()


class RegistryHandler(BaseHTTPRequestHandler):
    """Answers /healthz with the status that it has."""

    def do_GET(self):
        self.send_response(self.server.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_server_is_well_while_it_answers(container, tmp_path):
    (container.programs / "python").unlink()
    (container.programs / "python").symlink_to(sys.executable)
    state = tmp_path / "work" / "multitalk-worker.pid"
    container.environment["http_proxy"] = "http://127.0.0.1:9"
    with HTTPServer(("127.0.0.1", 0), RegistryHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.write_text(f"{os.getpid()} http://127.0.0.1:{server.server_port}\n")
        codes = []
        for server.status in (200, 503):
            codes.append(container.run("health")[0])
        server.shutdown()
        thread.join()
    code, _, complained, _ = container.run("health")
    assert [*codes, code] == [0, 1, 1]
    assert "the server does not answer at http://127.0.0.1:" in complained


def test_a_worker_is_well_while_it_lives_and_can_write(container):
    container.program("python", "echo ready; exec sleep 60")
    with container.start() as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        assert container.run("health")[0] == 0
        container.program("df", "echo head; echo 'disk 100 90 10 90% /'")
        assert container.run("health")[0] == 1
        (container.programs / "df").unlink()
        worker.kill()
    code, _, complained, _ = container.run("health")
    assert code == 1
    assert "is gone" in complained
