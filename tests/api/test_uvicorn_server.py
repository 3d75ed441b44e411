"""How the process of a server ends."""

import subprocess
import sys

import pytest

from patience import PATIENCE_SECONDS

WAITING = """
import threading
from concurrent.futures import ThreadPoolExecutor
from multitalk.serving.api.transport.uvicorn_server import end_process_in_time

files = ThreadPoolExecutor(1)
files.submit(threading.Event().wait)
end_process_in_time(0.1)
print("is still there")
"""
IDLE = WAITING.replace(
    "files.submit(threading.Event().wait)", "files.submit(int); files.shutdown()"
)


@pytest.mark.parametrize(
    ("code", "status", "said"), [(WAITING, 143, ""), (IDLE, 0, "is still there\n")]
)
def test_a_process_does_not_wait_for_a_thread_that_does_not_end(code, status, said):
    ended = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (ended.returncode, ended.stdout) == (status, said), ended.stderr
