"""Measurements in new processes: cold start, peak memory, import time, size of an install."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from talks import ROOT, Talk

HERE = Path(__file__).parent
# What `make .venv/.base` needs of the repository.
SOURCES = ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "src")


@dataclass(frozen=True)
class FreshJob:
    """One job in a new process.

    Attributes:
        first_frames: Seconds from starting the process to the first rendered frames.
        peak_bytes: Most memory that the process ever had.
    """

    first_frames: float
    peak_bytes: int


def run_fresh(talk: Talk) -> FreshJob:
    """Start a process for one job.

    Linux hands the starter's peak memory down to the process it starts, so this one must have had
    less than the job takes: that is why it renders nothing itself.
    """
    started = time.perf_counter()
    command = [sys.executable, str(HERE / "fresh_job.py"), str(talk.request)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        first_frames = time.perf_counter() - started
        *_, last = line, *process.stdout
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return FreshJob(first_frames, int(last))


def run_warm(talk: Talk, num_runs: int) -> dict[str, object]:
    """The results of `warm_jobs.py`."""
    command = [sys.executable, str(HERE / "warm_jobs.py"), str(talk.request), str(num_runs)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def import_seconds(num_runs: int = 5) -> float:
    """Time that `import multitalk` adds to the start of Python."""

    def seconds(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    pairs = [(seconds("import multitalk"), seconds("")) for _ in range(num_runs)]
    return median(pair[0] for pair in pairs) - median(pair[1] for pair in pairs)


def install_bytes(directory: Path) -> int:
    """Install as the Makefile does, from a copy of the sources; everything but Python and pip."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, directory / name)
    empty = directory / "empty"
    subprocess.run([sys.executable, "-m", "venv", str(empty)], check=True)
    target = [f"PYTHON={sys.executable}", ".venv/.base"]
    subprocess.run(
        ["make", "-C", str(directory), *target],  # noqa: S607 - whichever make the reader has
        check=True,
        stdout=sys.stderr,
    )
    installed = _size(directory / ".venv") + _size(directory / "src")
    return installed - _size(empty)


def _size(directory: Path) -> int:
    """Bytes of all files below; links count nothing."""
    files = (Path(place) / name for place, _, names in os.walk(directory) for name in names)
    return sum(file.lstat().st_size for file in files if not file.is_symlink())
