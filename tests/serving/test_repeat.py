"""Background work goes on whatever happens, and says once what happened."""

import asyncio
import errno
import logging

import pytest

from multitalk.errors import QueueUnavailable
from multitalk.serving.logs import RateLimitedLog
from multitalk.serving.repeat import repeat


@pytest.mark.parametrize(
    ("error", "said", "has_traceback"),
    [
        (QueueUnavailable("queue_full"), "queue's disk is full", False),
        (OSError(errno.ENOSPC, "No space left on device", "/secret"), "No space left", False),
        (KeyError("no such"), "tidy: crashed", True),
    ],
)
def test_work_that_fails_is_done_again_and_told_once(
    error: Exception, said: str, has_traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    times = []

    async def work() -> None:
        times.append(None)
        if len(times) == 4:
            raise asyncio.CancelledError
        raise error

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(repeat("tidy", 0.0, work, RateLimitedLog(logging.getLogger("tidy"))))
    (record,) = caplog.records
    assert said in record.getMessage()
    assert "job" not in record.getMessage().split()[:1]
    assert (record.exc_info is not None) is has_traceback
    assert "/secret" not in caplog.text
