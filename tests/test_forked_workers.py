"""Forks report what they run, and that one has died."""

import subprocess
import sys
from pathlib import Path

from patience import PATIENCE_SECONDS

GOOD = """
import os

def test_state_is_a_forks_own():
    assert os.environ["XDG_STATE_HOME"] != "state"

def test_writes(capfd):
    print("words")
    assert capfd.readouterr().out == "words\\n"

def test_fails():
    print("what it printed")
    assert 1 == 2
"""
BAD = """
import os

def test_dies():
    os._exit(7)
"""


def test_forks_run_all_files_and_a_test_whose_process_dies_has_failed(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import os\nos.environ['XDG_STATE_HOME'] = 'state'\npytest_plugins = ['forked_workers']"
    )
    for name, content in (("good", GOOD), ("bad", BAD), ("more", GOOD)):
        (tmp_path / f"test_{name}.py").write_text(content)
    command = [sys.executable, "-m", "pytest", "--forks", "2", "-rf", f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [*command, "-o", f"pythonpath={Path(__file__).parent}", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "3 failed, 4 passed" in done.stdout
    assert "the process that ran this test ended with 7" in done.stdout
    assert done.stdout.count("what it printed") == 2 * 2  # in its source and as its output
