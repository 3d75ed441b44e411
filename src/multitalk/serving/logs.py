"""The log: plain lines for people, or JSON, one object a line, for programs.

Repeated warnings are logged at once, then once a minute.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, TextIO, TypeAlias

from multitalk.messages import visible

AGAIN_SECONDS = 60.0  # from one warning of a kind to the next
FORGOTTEN_SECONDS = 3600.0  # after its last warning, a kind is a new one

LogFormat: TypeAlias = Literal["auto", "plain", "json"]

# The log of a job's work begins so.
_JOB = re.compile(r"job ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
# The web server's own loggers: on a terminal their reports of each step are left out.
_CHATTY = ("uvicorn.error", "httpx", "httpcore")


class JsonFormatter(logging.Formatter):
    """Formats a record; the job that it is about becomes a field."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": visible(record.getMessage()),
        }
        job = _JOB.match(record.getMessage())
        if job is not None:
            fields["job_id"] = job[1]
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class PlainFormatter(logging.Formatter):
    """Formats a record as the local time and its message; from a warning on, its level too."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s  %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The record's line, without its traceback."""
        record.message = visible(record.message)
        if record.levelno >= logging.WARNING:
            record.message = f"{record.levelname.lower()}: {record.message}"
        return super().formatMessage(record)


def is_plain(wanted: LogFormat, stream: TextIO | None = None) -> bool:
    """Whether a stream (stderr) gets plain lines: as wanted, or if it is a terminal."""
    if wanted == "auto":
        return (stream or sys.stderr).isatty()
    return wanted == "plain"


def start_log(level: str, wanted: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """Send every log line, from `level` on, to a stream (stderr)."""
    handler = logging.StreamHandler(stream)
    plain = is_plain(wanted, stream)
    handler.setFormatter(PlainFormatter() if plain else JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if plain and level == "INFO":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)


@dataclass
class _Repeated:
    """A kind of warning: when it was last logged, how often it was left out since, and its end."""

    logged_at: float
    left_out: int = 0
    is_resolved: bool = False


class RateLimitedLog:
    """Logs a warning of each kind at most once a minute.

    Args:
        logger: Where it is logged.
        clock: Monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._repeated: dict[str, _Repeated] = {}

    def warn(self, kind: str, text: str, *, crash: Exception | None = None) -> None:
        """Log a warning, and a crash's traceback, unless one of its kind was within a minute."""
        last, now = self._repeated.get(kind), self._clock()
        if last is not None and now < last.logged_at + AGAIN_SECONDS:
            last.left_out += 1
            return
        again = f" (and {last.left_out} times before)" if last is not None and last.left_out else ""
        self._repeated = {
            name: one
            for name, one in self._repeated.items()
            if now < one.logged_at + FORGOTTEN_SECONDS
        }
        self._repeated[kind] = _Repeated(now)
        self._logger.warning("%s%s", text, again, exc_info=crash)

    def resolve(self, kind: str, text: str | None = None) -> None:
        """Note that the cause of a warning has ended; log `text` the first time."""
        last = self._repeated.get(kind)
        if last is not None and not last.is_resolved:
            last.is_resolved = True
            if text is not None:
                self._logger.warning("%s", text)
