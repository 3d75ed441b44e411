"""Processes that a test starts, and that have ended with it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager


@contextmanager
def ended(processes: Sequence["subprocess.Popen[str]"]) -> Iterator[None]:
    """However the block ends, the processes are killed and waited for, and their pipes closed."""
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(process)  # in the end it closes the pipes and waits
            stack.callback(process.kill)
        yield
