"""A name of an engine that does not exist is refused at every door, with the names that do."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import multitalk
from multitalk.cli.app import app
from multitalk.engines.registry import load_engine
from multitalk.errors import InvalidRequest
from multitalk.local.studio import Studio
from multitalk.schema import parse_request
from multitalk.settings import SettingError, Settings

NAMES = ["wrap", "gpu", "Warp", "", " warp", "diffusion2", "auto,warp"]
NOT_TEXT: list[object] = [None, 0, b"warp", ["warp"]]
CHOICES = "choose one of auto, warp, diffusion"
REQUEST = {"prompt": "p", "image_path": "a.png", "audio_paths": {"a": "b.wav"}}


def by_render(name: object) -> None:
    multitalk.render("a.png", "b.wav", "p", "t.mp4", engine=name)  # type: ignore[arg-type]


def by_studio(name: object) -> None:
    Studio(name)  # type: ignore[arg-type]


def by_load_engine(name: object) -> None:
    load_engine(name, settings=Settings())  # type: ignore[arg-type]


def by_settings_made_by_hand(name: object) -> None:
    settings = Settings(engine=name)  # type: ignore[arg-type]
    load_engine(settings.engine, settings=settings)


def by_request(name: object) -> None:
    parse_request(REQUEST | {"engine": [] if name is None else name}, settings=Settings())


@pytest.fixture(autouse=True)
def in_a_fresh_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [*NAMES, *NOT_TEXT])
@pytest.mark.parametrize(
    "door", [by_render, by_studio, by_load_engine, by_settings_made_by_hand, by_request]
)
def test_python_and_requests_refuse_it(door: Callable[[object], None], name: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        door(name)
    assert caught.value.field == "engine"
    assert CHOICES in str(caught.value)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("name", "meant"), [("wrap", "warp"), ("Diffusion", "diffusion")])
def test_the_name_that_was_probably_meant_is_told(name: str, meant: str) -> None:
    for door in (by_render, by_studio, by_load_engine, by_settings_made_by_hand, by_request):
        with pytest.raises(InvalidRequest, match=f"did you mean {meant}\\?"):
            door(name)
    with pytest.raises(SettingError, match=f"did you mean {meant}\\?"):
        Settings.from_env({"MULTITALK_ENGINE": name})


@pytest.mark.parametrize("name", ["wrap", "gpu", "Warp", "diffusion2"])
def test_settings_refuse_it(name: str) -> None:
    with pytest.raises(SettingError, match=f"MULTITALK_ENGINE='{name}': {CHOICES}"):
        Settings.from_env({"MULTITALK_ENGINE": name})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "command",
    [
        ("render", "--image", "a.png", "--audio", "b.wav", "--prompt", "p", "-o", "t.mp4"),
        ("work", "--queue", "sqlite:///q.db"),
        ("serve", "--port", "0"),
    ],
)
def test_every_command_that_takes_an_engine_refuses_it(command: tuple[str, ...], name: str) -> None:
    result = CliRunner().invoke(app, [*command, f"--engine={name}"])
    assert result.exit_code == 2
    assert f"{json.dumps(name)} is not a choice; {CHOICES}" in result.stderr
    assert list(Path().iterdir()) == []


def test_a_worker_of_runpod_ends_unfit(tmp_path: Path) -> None:
    import subprocess

    pytest.importorskip("runpod")
    code = "from multitalk.serving.runpod.process import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", "MULTITALK_ENGINE": "wrap", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode != 0
    assert "did you mean warp?" in done.stdout + done.stderr
