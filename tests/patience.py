"""How long a test waits for what must come.

A limit is there so that a test of something that hangs ends; it does not say how fast a thing is.
So it is long enough for a machine that does ten other things, and costs nothing where all is well:
a test goes on as soon as what it waits for has come.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")

PATIENCE_SECONDS = 500.0  # below pytest's own limit for a test


def wait_until(happened: Callable[[], object], *, says: Callable[[], object] = str) -> None:
    """Wait until something has happened; `says` tells what there is instead when it has not."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < ends, says()
        time.sleep(0.02)


class Attempts(Generic[Result]):
    """Runs of something in real time, of which one must be in time: a busy machine spoils some.

    Args:
        run: Does it, and returns what there is to judge. Called again if a judge is not content.
        most: How many runs at most.
    """

    def __init__(self, run: Callable[[], Result], *, most: int = 3) -> None:
        self._run, self._most = run, most
        self._results: list[Result] = []

    def judge(self, judge: Callable[[Result], None]) -> None:
        """Call `judge` with one run's result after the other until it raises no assertion."""
        for number in range(self._most):
            if number == len(self._results):
                self._results.append(self._run())
            try:
                judge(self._results[number])
                break
            except AssertionError:
                if number == self._most - 1:
                    raise
