"""How long a test waits for what must come.

A limit is there so that a test of something that hangs ends; it does not say how fast a thing is.
So it is long enough for a machine that does ten other things, and costs nothing where all is well:
a test goes on as soon as what it waits for has come.
"""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 500.0  # below pytest's own limit for a test


def wait_until(happened: Callable[[], object], *, says: Callable[[], object] = str) -> None:
    """Wait until something has happened; `says` tells what there is instead when it has not."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < ends, says()
        time.sleep(0.02)
