"""Deadlines end waits, by time or by cancellation; daemon threads delay nothing."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from multitalk.errors import Cancelled
from multitalk.net.deadline import Deadline, DeadlinePassed, run_in_daemon_thread, within
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


def test_a_coroutine_has_its_result_its_error_or_no_time_left():
    ended = []

    async def work(seconds: float) -> int:
        try:
            await asyncio.sleep(seconds)
            return 1 // (1 if seconds else 0)
        finally:
            ended.append(seconds)

    assert asyncio.run(within(PATIENCE_SECONDS, work(0.001))) == 1
    with pytest.raises(ZeroDivisionError):
        asyncio.run(within(PATIENCE_SECONDS, work(0)))
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(within(0.01, work(PATIENCE_SECONDS)))
    assert ended == [0.001, 0, PATIENCE_SECONDS]


@pytest.mark.parametrize("turns", range(5))  # of the event loop, after the result is there
def test_a_cancellation_that_comes_with_the_result_is_not_lost(turns):
    async def scene() -> None:
        there = asyncio.Event()
        waiting = asyncio.ensure_future(within(PATIENCE_SECONDS, there.wait()))
        await asyncio.sleep(0.01)
        there.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()

    asyncio.run(scene())
