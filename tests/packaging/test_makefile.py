"""What `make` would do, by its own word (`make -n`)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the Makefile and environments that are complete, as its stamps say."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name, stamps in ((".venv", (".base", ".dev")), (".venv-diffusion", (".ready",))):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").symlink_to(sys.executable)
        for stamp in stamps:
            (tmp_path / name / stamp).touch()
    another = tmp_path / "another-python"
    another.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c \"import sys; sys.base_prefix = '/other'; $2\"\n"
    )
    another.chmod(0o755)
    return tmp_path


def run_make(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ours = ("PYTHON", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")  # of the make that runs the tests
    return subprocess.run(
        ["make", *arguments],
        cwd=place,
        env={name: value for name, value in os.environ.items() if name not in ours},
        capture_output=True,
        text=True,
        check=False,
    )


def would_do(place: Path, *arguments: str) -> str:
    """The commands that make would run."""
    done = run_make(place, "-n", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("named", [(), (f"PYTHON={sys.executable}",)])
def test_an_environment_of_the_same_python_stays(place: Path, named: tuple[str, ...]) -> None:
    said = would_do(place, "check", "test-diffusion", *named)
    assert "Setting up" not in said
    assert "ruff check" in said


@pytest.mark.parametrize(
    ("uv", "made"),
    [
        ("", "./another-python -m venv --clear {}\n"),
        ("uv", "uv venv --quiet --python ./another-python --clear {}\n"),
    ],
)
def test_an_environment_of_another_python_is_made_anew(place: Path, uv: str, made: str) -> None:
    said = would_do(place, "check", "test-diffusion", "PYTHON=./another-python", f"UV={uv}")
    assert made.format(".venv") in said
    assert made.format(".venv-diffusion") in said


@pytest.mark.parametrize(
    ("uv", "made"),
    [
        ("", "{} -m venv .venv\n"),
        ("uv", "uv venv --quiet --python {} --allow-existing .venv\n"),
    ],
)
def test_changed_packages_are_installed_into_the_environment_there_is(
    place: Path, uv: str, made: str
) -> None:
    (place / "pyproject.toml").touch()
    said = would_do(place, "check", f"PYTHON={sys.executable}", f"UV={uv}")
    assert made.format(sys.executable) in said
    assert f"{uv or '-m'} {'pip' if uv else 'pip --disable'}" in said


def test_a_part_that_fails_does_not_keep_the_others_from_being_run(place: Path) -> None:
    for name in (".venv", ".venv-diffusion"):
        python = place / name / "bin" / "python"
        python.unlink()
        python.write_text(f'#!/bin/sh\necho "$*" >> {place}/asked\nexit 1\n')
        python.chmod(0o755)
    done = run_make(place, "test")
    assert done.returncode != 0
    asked = (place / "asked").read_text()
    assert "tests/api" in asked
    assert "tests/web\n" in asked
    assert "--ignore=tests/api" in asked
    assert "tests/engines/diffusion\n" in asked


@pytest.mark.parametrize(("named", "asks"), [((), True), (("TORCH=torch==2.13.0+cu130",), False)])
def test_the_index_of_cpu_builds_is_asked_for_unless_a_build_is_named(
    place: Path, named: tuple[str, ...], asks: bool
) -> None:
    (place / ".venv-diffusion" / ".ready").unlink()
    said = would_do(place, "test-diffusion", *named)
    assert ("tools/torch_index.py" in said) is asks


def test_the_server_has_the_directory_that_the_command_has(place: Path) -> None:
    said = would_do(place, "serve")
    assert "multitalk serve\n" in said
    assert "--data" not in said
