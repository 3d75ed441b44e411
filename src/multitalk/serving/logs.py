"""Logs as JSON, one object a line, so that a job's lines can be found by its id."""

import json
import logging
import re
from datetime import datetime, timezone
from typing import TextIO

# The log of a job's work begins so.
_JOB = re.compile(r"job ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


class JsonFormatter(logging.Formatter):
    """Formats a record; the job that it is about becomes a field."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        told: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        job = _JOB.match(record.getMessage())
        if job is not None:
            told["job_id"] = job[1]
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def log_as_json(level: str, stream: TextIO | None = None) -> None:
    """Send every log line, from `level` on, to a stream (stderr) as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
