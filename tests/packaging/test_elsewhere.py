"""Tests on other Pythons are skipped in one line where there is no such Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with the programs that the scripts need, and no other."""
    made = tmp_path / "programs"
    made.mkdir()
    for name in ("dirname", "mkdir", "rm"):
        (made / name).symlink_to(str(shutil.which(name)))
    put(made, "uname", "echo x86_64")
    return made


def put(programs: Path, name: str, script: str) -> None:
    """A program that stands for another."""
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(0o755)


def run(tool: str, programs: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "tools" / tool), *map(str, arguments)],
        env=os.environ | {"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_uv_nothing_is_tested_elsewhere_and_a_line_says_so(programs: Path) -> None:
    done = run("test_elsewhere.sh", programs, "newest")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no tests in out/newest: no uv here\n"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "no apt-get here"),
        ({"apt-get": "exit 100"}, "Debian's forky does not answer"),
        ({"apt-get": "", "apt-cache": "exit 100"}, "forky has none"),
        ({"apt-get": 'test "${*%install*}" = "$*"'}, "its packages cannot be fetched"),
    ],
)
def test_where_a_python_is_not_to_be_had_one_line_says_why(
    programs: Path, tmp_path: Path, answers: dict[str, str], said: str
) -> None:
    if answers and not KEYS.exists():
        pytest.skip("no keys of Debian's archive here")
    for name in ("apt-get", "apt-cache", "dpkg"):
        if answers:
            put(programs, name, answers.get(name, "exit 0"))
    done = run("debian_python.sh", programs, "3.14", "forky", "amd64", tmp_path / "python")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"no Python 3.14 for amd64: {said}\n"
    assert not (tmp_path / "python" / "usr" / "bin" / "python").exists()


def test_another_processor_wants_an_emulator(programs: Path, tmp_path: Path) -> None:
    if not KEYS.exists():
        pytest.skip("no keys of Debian's archive here")
    put(programs, "uname", "echo riscv64")
    for name in ("apt-get", "apt-cache", "dpkg"):
        put(programs, name, "exit 0")
    done = run("debian_python.sh", programs, "3.14", "forky", "amd64", tmp_path / "python")
    assert done.returncode == 1
    assert "no qemu-x86_64 here (apt-get install qemu-user-static)" in done.stderr
