"""Work that nobody waits for."""

import subprocess
import sys

import pytest

from multitalk.outbound.apart import apart
from patience import PATIENCE_SECONDS

HANGING = """
import time
from multitalk.outbound.apart import apart
apart(lambda: time.sleep(86_400), name="hanging")
"""


def test_a_process_ends_although_something_hangs_in_it():
    ended = subprocess.run([sys.executable, "-c", HANGING], timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == 0


def test_what_it_comes_to_is_returned_or_raised():
    assert apart(lambda: 7, name="seven").result(PATIENCE_SECONDS) == 7
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0, name="broken").result(PATIENCE_SECONDS)
