"""The log: plain lines at a terminal, JSON elsewhere, either where it is asked for."""

import io
import json
import logging

import pytest

from multitalk.serving.logs import AGAIN_SECONDS, RateLimitedLog, start_log


class TerminalStream(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before():
    """Logging as pytest has set it up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("uvicorn.error", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("stream", "wanted", "is_json"),
    [
        (TerminalStream, "auto", False),
        (io.StringIO, "auto", True),
        (TerminalStream, "json", True),
        (io.StringIO, "plain", False),
    ],
)
def test_the_log_is_plain_at_a_terminal_and_json_elsewhere_or_as_wanted(stream, wanted, is_json):
    stream = stream()
    start_log("INFO", wanted, stream)
    job = "0a1b2c3d-0000-4000-8000-123456789abc"
    logging.getLogger("a").info("job %s: begun", job)
    logging.getLogger("a").warning("careful")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("a").exception("failed")
    lines = stream.getvalue().splitlines()
    if is_json:
        begun, careful, failed = map(json.loads, lines)
        assert (begun["level"], begun["job_id"]) == ("INFO", job)
        assert careful["message"] == "careful"
        assert "ValueError: broken" in failed["traceback"]
    else:
        assert lines[0].endswith(f"  job {job}: begun")
        assert lines[1].endswith("  warning: careful")
        assert lines[2].endswith("  error: failed")
        assert lines[-1] == "ValueError: broken"


def test_at_a_terminal_the_web_server_s_own_steps_are_left_out():
    stream = TerminalStream()
    start_log("INFO", "auto", stream)
    logging.getLogger("uvicorn.error").info("Started server process [1]")
    logging.getLogger("uvicorn.error").warning("something")
    assert "Started" not in stream.getvalue()
    assert "something" in stream.getvalue()


def test_a_warning_is_logged_at_once_and_then_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    limited = RateLimitedLog(logging.getLogger("disks"), clock=lambda: now)
    for _ in range(240):  # two a second
        limited.warn("room", f"{now:g} MiB left")
        now += AGAIN_SECONDS / 120
    limited.warn("claim", "another kind")
    limited.resolve("claim")  # without a word
    limited.resolve("room", "there is room")
    limited.resolve("room", "there is room")
    for _ in range(3):  # it comes and goes
        limited.warn("room", "little room")
        limited.resolve("room", "there is room")
    now += AGAIN_SECONDS
    limited.warn("room", "little room")
    assert caplog.messages == [
        "100 MiB left",
        "160 MiB left (and 119 times before)",
        "another kind",
        "there is room",
        "little room (and 119 times before)",
        "there is room",
        "little room (and 2 times before)",
    ]


def test_kinds_of_warnings_that_came_once_are_forgotten():
    now = 0.0
    limited = RateLimitedLog(logging.getLogger("jobs"), clock=lambda: now)
    for number in range(1000):  # such as one for each job
        limited.warn(f"job {number}", "not reported")
        now += AGAIN_SECONDS
    assert len(limited._repeated) < 100
