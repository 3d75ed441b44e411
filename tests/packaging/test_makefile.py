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
    for name, stamps in (
        (".venv", (".base", ".dev", ".compiled")),
        (".venv-diffusion", (".ready",)),
    ):
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


def run_make(
    place: Path, *arguments: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run make; with `path`, programs are found only there."""
    ours = ("PYTHON", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")  # of the make around
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [str(shutil.which("make")), *arguments],
        cwd=place,
        env=kept | ({"PATH": str(path)} if path else {}),
        capture_output=True,
        text=True,
        check=False,
    )


def would_do(place: Path, *arguments: str) -> str:
    """The commands that make would run."""
    done = run_make(place, "-n", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory for programs."""
    made = tmp_path / "programs"
    made.mkdir()
    return made


def put(programs: Path, name: str, script: str = "exit 0") -> None:
    """A program that stands for another."""
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(0o755)


def has_no_environment(place: Path) -> Path:
    """A directory with the Makefile alone, as in a fresh clone."""
    for name in (".venv", ".venv-diffusion"):
        shutil.rmtree(place / name)
    return place


def test_the_newest_python_on_the_path_is_taken(place: Path, programs: Path) -> None:
    for name in ("python3", "python3.10", "python3.13"):
        put(programs, name)
    put(programs, "python3.14", "exit 1")  # one that cannot run, or has no venv
    done = run_make(has_no_environment(place), "-n", "demo", path=programs)
    assert "\npython3.13 -m venv .venv\n" in done.stdout


def test_the_python_of_a_system_is_taken_whatever_its_version(place: Path, programs: Path) -> None:
    (programs / "python3").symlink_to(sys.executable)
    done = run_make(has_no_environment(place), "-n", "demo", path=programs)
    assert "\npython3 -m venv .venv\n" in done.stdout


def test_without_a_python_the_one_that_uv_keeps_is_taken(place: Path, programs: Path) -> None:
    put(programs, "python3", "exit 1")
    put(programs, "kept")
    put(programs, "uv", 'test "$*" = "python find --managed-python >=3.10" && echo kept')
    done = run_make(has_no_environment(place), "-n", "demo", path=programs)
    assert f"\n{programs}/uv venv --quiet --python kept --allow-existing .venv\n" in done.stdout


@pytest.mark.parametrize("named", [(), ("PYTHON=./old",)])
def test_without_a_python_one_line_says_how_to_get_it(
    place: Path, programs: Path, named: tuple[str, ...]
) -> None:
    put(place, "old", "exit 1")
    done = run_make(has_no_environment(place), "demo", *named, path=programs)
    assert done.returncode != 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("Python 3.10 or newer with venv and pip is needed: ")
    assert ("./old is not that" in line) is bool(named)
    for way in ("apt install", "brew install", "uv python install", "make PYTHON="):
        assert way in line


def test_the_diffusion_engine_asks_for_a_newer_python(place: Path, programs: Path) -> None:
    put(programs, "python3.10", 'case "$2" in *"(3, 11)"*) exit 1; esac')
    done = run_make(has_no_environment(place), "test-diffusion", path=programs)
    assert done.returncode != 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("Python 3.11 or newer with venv and pip is needed by the diffusion")


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
