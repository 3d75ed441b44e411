"""Warnings that would come again and again: at once, then once a minute."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

AGAIN_SECONDS = 60.0


@dataclass
class _Said:
    """A warning: when it was logged last, how often it came since, and whether its end is known."""

    at: float
    times: int = 0
    is_over: bool = False


class SparingLog:
    """Logs each kind of warning at once, and as long as it comes again once a minute.

    Args:
        logger: Where it is logged.
        clock: Seconds that only go forward.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._said: dict[str, _Said] = {}

    def say(self, kind: str, text: str) -> None:
        """Log a warning, unless one of its kind was logged within a minute."""
        said, now = self._said.get(kind), self._clock()
        if said is not None and now < said.at + AGAIN_SECONDS:
            said.times += 1
            return
        again = f" (and {said.times} times before)" if said is not None and said.times else ""
        self._said[kind] = _Said(now)
        self._logger.warning("%s%s", text, again)

    def over(self, kind: str, text: str | None = None) -> None:
        """Note that what was warned of has ended; a `text` that says so is logged once, too."""
        said = self._said.get(kind)
        if said is not None and not said.is_over:
            said.is_over = True
            if text is not None:
                self._logger.warning("%s", text)
