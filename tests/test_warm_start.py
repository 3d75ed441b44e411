"""A program that is started warm runs as it would by itself."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS, wait_until
from warm_start import WarmProcess, start, start_fresh

PROGRAM = """
import json, os, sys
print(json.dumps({"name": __name__, "argv": sys.argv, "path": sys.path[0], "cwd": os.getcwd(),
    "environment": dict(os.environ), "is_leader": os.getpgid(0) == os.getpid()}))
print("wrong", file=sys.stderr)
sys.exit(3)
"""
SLEEPS = "import time; print('began'); time.sleep(600)"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")


def surroundings(**more: str) -> dict[str, str]:
    """What an interpreter needs, where it is to find the same libraries."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


@pytest.mark.parametrize("way", ["script", "module"])
def test_it_is_as_a_fresh_interpreter_would_run_it(tmp_path: Path, way: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    first = [str(tmp_path / "program.py")] if way == "script" else ["-m", "program"]
    said = []
    for begin in (lambda *a, **b: start(*a, imports=["json"], **b), start_fresh):
        with (tmp_path / "out").open("w") as out, (tmp_path / "errors").open("w") as errors:
            process = begin(
                *(*first, "an argument"),
                environment=surroundings(WHAT="this"),
                output=out.fileno(),
                errors=errors.fileno(),
                directory=tmp_path,
            )
        assert process.wait(PATIENCE_SECONDS) == process.returncode == 3
        assert (tmp_path / "errors").read_text() == "wrong\n"
        said.append(json.loads((tmp_path / "out").read_text()))
    assert said[0] == said[1]
    assert said[0]["is_leader"]
    assert said[0]["environment"]["WHAT"] == "this"


@linux_only
def test_it_is_signalled_and_its_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    with (tmp_path / "out").open("w") as out:
        process = start(
            str(tmp_path / "sleeps.py"), imports=(), environment=surroundings(), output=out.fileno()
        )
    assert isinstance(process, WarmProcess)
    wait_until((tmp_path / "out").read_text)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # to nobody


@linux_only
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    starting = (
        "import os, sys, warm_start\n"
        "process = warm_start.start(sys.argv[1], imports=(), environment=os.environ, output=2)\n"
        "print(process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", starting, str(tmp_path / "sleeps.py")],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    process = Path(f"/proc/{int(ended.stdout)}/stat")
    wait_until(lambda: not process.exists() or ") Z " in process.read_text())
