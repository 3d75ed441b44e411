"""Processes of one team for a test: forks of the test's own, for which all is imported already."""

import gc
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from patience import PATIENCE_SECONDS


def run_team(work: Callable[[], object], processes: int, directory: Path) -> None:
    """Do the same work in several processes that find each other, and wait until all have ended.

    Each says what it says in `said-RANK` in the directory, and how it ended in `code-RANK`. Each
    has the variables that PyTorch's launcher would give it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
    }
    members = [
        forked(
            work,
            directory / f"said-{rank}",
            {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]
    for rank, code in enumerate(ended(members)):
        (directory / f"code-{rank}").write_text(str(code))


def forked(work: Callable[[], object], said: Path, variables: dict[str, str]) -> int:
    """A process that does some work and writes what it says into a file.

    One must not be forked where CUDA is in use. Threads of PyTorch's are not there after a fork, so
    it computes without any, as the workers of PyTorch's data loaders do.

    Returns:
        Its id.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that threads do not come along
        process = os.fork()
    if process:
        return process
    code = 1
    try:
        gc.freeze()  # or collecting would copy all pages of what is imported
        os.setsid()
        written = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(written, 1)
        os.dup2(written, 2)
        sys.stdout, sys.stderr = (
            os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2)
        )
        warnings.simplefilter("default")  # a test's are errors
        torch.set_num_threads(1)
        os.environ.update(variables)
        work()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(members: Sequence[int]) -> list[int]:
    """Wait for processes; none of them nor what they started is left, however that ends.

    Returns:
        Their exit codes, negative for a signal.
    """
    codes: dict[int, int] = {}
    ends = time.monotonic() + PATIENCE_SECONDS
    try:
        while len(codes) < len(members):
            assert time.monotonic() < ends, f"{len(members) - len(codes)} processes do not end"
            for process in set(members) - set(codes):
                done, status = os.waitpid(process, os.WNOHANG)
                if done:
                    codes[process] = os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
    finally:
        for process in members:
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            if process not in codes:
                os.waitpid(process, 0)
    return [codes[process] for process in members]
