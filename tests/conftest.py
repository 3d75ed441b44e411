"""What holds for every test: what this machine keeps for itself stays as it is."""

import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import cache

import hypothesis
import pytest

pytest_plugins = ["forked_workers"]


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # importing makes many objects, and all of them stay
    state = tempfile.TemporaryDirectory(prefix="multitalk-state-")
    config.add_cleanup(state.cleanup)
    hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("untimed")
    # What a shell's `&` or nohup began ignores these, and so would what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ["XDG_STATE_HOME"] = state.name  # read when the settings are, by child processes too


def pytest_collection_finish() -> None:
    if testing := sys.modules.get("typer.testing"):
        # Its runner would build all commands anew for each that a test types
        testing._get_command = cache(testing._get_command)  # type: ignore[attr-defined]
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def log_handlers_go_with_their_test() -> Iterator[None]:
    """A command that a test runs in this process sends its log to a stream that ends with it."""
    loggers = [logging.getLogger(), logging.getLogger("multitalk")]
    kept = [logger.handlers[:] for logger in loggers]
    yield
    for logger, before in zip(loggers, kept, strict=True):
        for handler in logger.handlers[:]:
            if handler not in before:
                logger.removeHandler(handler)
