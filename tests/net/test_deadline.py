"""Deadlines end waits, by time or by cancellation; daemon threads delay nothing."""

import subprocess
import sys
import threading
import time

import pytest

from multitalk.errors import Cancelled
from multitalk.net.deadline import Deadline, DeadlinePassed, run_in_daemon_thread
from patience import PATIENCE_SECONDS

HANGING = """
import time
from multitalk.net.deadline import run_in_daemon_thread
run_in_daemon_thread(lambda: time.sleep(86_400), name="hanging")
"""


def test_a_process_ends_although_something_hangs_in_it():
    ended = subprocess.run([sys.executable, "-c", HANGING], timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == 0


def test_a_thread_s_result_is_returned_or_raised():
    assert run_in_daemon_thread(lambda: 7, name="seven").result(PATIENCE_SECONDS) == 7
    with pytest.raises(ZeroDivisionError):
        run_in_daemon_thread(lambda: 1 // 0, name="broken").result(PATIENCE_SECONDS)


def test_a_deadline_ends_every_wait():
    deadline = Deadline(0.05)
    assert 0 < deadline.remaining() <= 0.05
    hanging = run_in_daemon_thread(lambda: time.sleep(86_400), name="hanging")
    with pytest.raises(DeadlinePassed):
        deadline.wait_for(hanging)
    with pytest.raises(DeadlinePassed):
        deadline.sleep(PATIENCE_SECONDS)


def test_cancelling_ends_every_wait():
    cancelled = threading.Event()
    deadline = Deadline(PATIENCE_SECONDS, cancelled.is_set)
    threading.Timer(0.05, cancelled.set).start()
    with pytest.raises(Cancelled):
        deadline.sleep(PATIENCE_SECONDS)
    with pytest.raises(Cancelled):
        deadline.remaining()


def test_a_shortened_deadline_is_never_later():
    deadline = Deadline(1.0)
    assert deadline.shortened(0.5).remaining() <= 0.5
    assert deadline.shortened(60.0).remaining() <= 1.0
