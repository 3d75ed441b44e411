"""`multitalk fetch` as typed, in processes of its own that are killed, interrupted and doubled."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hub_stand_in import BLOCK, Fault, HubStandIn
from toy_fetch import OF_SET, path_of
from toy_set import CONFIG, LORA, NETWORK, SIZES, TEXT, VAE, content_of
from typer.testing import CliRunner

import warm_start
from multitalk.cli.app import app
from multitalk.weights.fetch import FetchOptions, fetch_weights
from multitalk.weights.hub import Hub
from patience import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
HELD = 24 * BLOCK + 100  # bytes; the last ones are few enough to wait in a buffer
IMPORTS = ["multitalk.cli.app", "multitalk.weights.sets", "httpx", "pydantic", "filelock", "yaml"]


class Command:
    """The command, in a process of its own."""

    def __init__(
        self, directory: Path, arguments: list[str], environ: dict[str, str], terminal: int | None
    ) -> None:
        directory.mkdir()
        self._files = [directory / "output", directory / "errors"]
        with self._files[0].open("wb") as output, self._files[1].open("wb") as errors:
            self.process = warm_start.start(
                *(str(Path(__file__).with_name("toy_command.py")), *arguments),
                imports=IMPORTS,  # nothing that reads the environment: the hub's library does
                environment=environ,
                output=output.fileno(),
                errors=errors.fileno() if terminal is None else terminal,
            )

    @property
    def said(self) -> list[str]:
        """Its output, and what it wrote about troubles."""
        return [file.read_text() for file in self._files]


Start = Callable[..., Command]


@pytest.fixture
def start(hub: HubStandIn, manifest_file: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts the command; ends what is still running."""
    started: list[Command] = []
    ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MULTITALK_", "HF_", "BUCKET_"))
    }

    def start(*arguments: object, terminal: int | None = None, **environ: str) -> Command:
        typed = [str(manifest_file), "fetch", *map(str, arguments)]
        said = tmp_path / f"said{len(started)}"
        started.append(Command(said, typed, kept | ours | environ, terminal))
        return started[-1]

    yield start
    hub.closing.set()
    for command in started:
        command.process.kill()
        command.process.wait()


def ended(command: Command) -> tuple[int, str, str]:
    code = command.process.wait(PATIENCE_SECONDS)
    said, complaints = command.said
    assert "Traceback" not in complaints
    return code, said, complaints


def is_whole(directory: Path) -> bool:
    return all(path_of(directory, file).read_bytes() == content_of(file) for file in OF_SET)


def came(directory: Path, name: str) -> int:
    """Bytes of a file that is on its way."""
    return sum(path.stat().st_size for path in directory.rglob(f".*{name}*.part"))


def test_it_says_what_comes_from_where_and_little_else(hub, directory, start):
    code, said, complaints = ended(start("--to", directory))
    assert code == 0, complaints
    assert is_whole(directory)
    lines = said.splitlines()
    assert lines[-1] == f"{directory}: toy is whole"
    assert "toy: about 0.0 GB, 0.0 GB to fetch to" in lines[-2]
    assert [line.split()[-1] for line in lines[:-2]] == [f for f in SIZES if f != LORA]
    shown = complaints.splitlines()
    assert {line for line in shown if line.startswith("whole: ")} == {
        f"whole: {file}" for file in OF_SET
    }
    assert len(shown) <= len(OF_SET) + 10
    assert all(line.startswith(("whole: ", "fetched 0.00")) for line in shown)


def test_again_it_says_that_all_is_there(hub, directory, start):
    assert ended(start("--to", directory))[0] == 0
    hub.asked.clear()
    code, said, complaints = ended(start(MULTITALK_WEIGHTS=str(directory)))
    assert (code, complaints) == (0, "")
    assert [line.split()[0] for line in said.splitlines()[:-2]] == ["here"] * len(OF_SET)
    assert hub.asked == []


def test_a_dry_run_asks_nobody_and_writes_nothing(hub, directory, start):
    code, said, _ = ended(start("--to", directory, "--lora", "style", "--dry-run"))
    assert code == 0
    assert said.count("to fetch ") == len(SIZES) + 1
    assert (hub.asked, directory.exists()) == ([], False)


@pytest.mark.parametrize("way", [["--offline"], []])
@pytest.mark.usefixtures("toy")
def test_offline_nothing_is_asked_and_what_is_missing_is_named(hub, directory, monkeypatch, way):
    def run(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["fetch", "--to", str(directory), *way, *options])
        return result.exit_code, result.stderr

    monkeypatch.setenv("HF_HUB_OFFLINE", "" if way else "1")
    fetch_weights(directory, FetchOptions("toy"), hub=Hub(hub.url))
    hub.asked.clear()
    text = path_of(directory, TEXT)
    text.unlink()
    code, complaints = run()
    assert code == 1
    assert f"{TEXT} is missing" in complaints
    text.write_bytes(content_of(TEXT, seed=5))
    assert run() == (0, "")
    code, complaints = run("--verify")
    assert code == 1
    assert f"{TEXT} has other content" in complaints
    text.write_bytes(content_of(TEXT))
    assert run("--verify")[0] == 0
    assert hub.asked == []


def test_trouble_is_told_in_lines(hub, directory, start):
    hub.fail(TEXT, Fault(status=503, headers={"Retry-After": "0"}), Fault(body=b"x" * SIZES[TEXT]))
    code, _, complaints = ended(start("--to", directory))
    assert code == 0
    assert f"{TEXT}: HTTP 503; next try in 0 s" in complaints
    assert f"{TEXT} is damaged: fetching it again" in complaints


def test_what_is_wrong_is_a_sentence(hub, directory, start):
    del hub.files[CONFIG]
    code, _, complaints = ended(start("--to", directory))
    assert code == 1
    assert complaints.splitlines()[-1].startswith(
        "the hub has no config.json in Wan/Base at refs/pr/1"
    )


def test_killed_it_resumes_and_no_byte_comes_twice(hub, directory, start):
    hub.fail(NETWORK, Fault(hold_after=HELD, slow=0.01))
    first = start("--to", directory)
    wait_until(lambda: came(directory, "network") >= HELD)
    wait_until(lambda: path_of(directory, TEXT).is_file() and path_of(directory, VAE).is_file())
    first.process.kill()
    first.process.wait()
    kept = came(directory, "network")
    assert kept == HELD
    code, _, complaints = ended(start("--to", directory))
    assert code == 0, complaints
    assert is_whole(directory)
    assert [asked.start for asked in hub.gets(NETWORK)] == [None, kept]
    assert sum(asked.sent for asked in hub.gets(NETWORK)) == SIZES[NETWORK]
    assert [len(hub.gets(file)) for file in (TEXT, VAE)] == [1, 1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_says_that_what_came_is_kept(hub, directory, start, number, code):
    hub.fail(NETWORK, Fault(hold_after=HELD))
    command = start("--to", directory, HF_HUB_DOWNLOAD_TIMEOUT="1")
    wait_until(lambda: came(directory, "network") >= HELD)
    command.process.send_signal(number)
    found, _, complaints = ended(command)
    assert found == code
    assert "what has come is kept: the same command resumes" in complaints
    assert came(directory, "network") == HELD
    assert not list(directory.glob("*.lease"))


def test_two_at_once_fetch_each_file_once(hub, directory, start):
    hub.fail(NETWORK, Fault(hold_after=HELD))
    # Long enough that the first still waits when the second has started, however busy the machine.
    first = start("--to", directory, HF_HUB_DOWNLOAD_TIMEOUT="60")
    wait_until(lambda: came(directory, "network") >= HELD)
    second = start("--to", directory)
    wait_until(lambda: "another process fetches into this directory" in second.said[1])
    hub.closing.set()  # the connection that was held breaks, and the first goes on
    assert ended(first)[0] == 0
    assert ended(second)[0] == 0
    assert is_whole(directory)
    for file in OF_SET:
        assert sum(asked.sent for asked in hub.gets(file)) == SIZES[file]


def test_on_a_terminal_there_is_a_bar(hub, directory, start):
    shown, terminal = os.openpty()
    command = start("--to", directory, terminal=terminal)
    os.close(terminal)
    text = ""
    with suppress(OSError):  # so a terminal says that the other side is closed
        while read := os.read(shown, 4096):
            text += read.decode()
    os.close(shown)
    assert command.process.wait(PATIENCE_SECONDS) == 0
    assert "fetched" in text
    assert "940.2/940.2 kB" in text
    assert "whole:" not in text


def test_the_builder_s_command_is_the_same(hub, directory, start, manifest_file):
    done = subprocess.run(
        [sys.executable, ROOT / "builder" / "fetch_models.py", "--to", directory, "--dry-run"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert "int8-fusionx: about 31." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dry-run"], "--to: say where to"),
        (["int9", "--to", "w"], "SET: int9 is not a choice; choose one of int8-fusionx, "),
        (["--lora", "x", "--to", "w"], "--lora: x is not a choice; choose one of fusionx, "),
    ],
)
def test_what_is_typed_wrong_is_said(monkeypatch, arguments, said):
    monkeypatch.delenv("MULTITALK_WEIGHTS", raising=False)
    result = CliRunner().invoke(app, ["fetch", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith(said)


def test_without_the_library_it_is_said(directory):
    hide = "import sys; sys.modules['huggingface_hub'] = None; import multitalk.cli as c; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", hide, "fetch", "--to", directory],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("fetching weights needs huggingface_hub")
    assert not directory.exists()
