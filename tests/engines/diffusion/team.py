"""Processes of one team for a test: what takes long to import is imported once, then they fork."""

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path


def run_team(work: Callable[[], None], processes: int, directory: Path) -> None:
    """Do the same work in several processes that find each other, and wait until all have ended.

    Each says what it says in `said-RANK` in the directory, and how it ended in `code-RANK`. Each
    has the variables that PyTorch's launcher would give it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [_started(work, rank, processes, port, directory) for rank in range(processes)]
    for rank, process in enumerate(started):
        _, status = os.waitpid(process, 0)
        (directory / f"code-{rank}").write_text(str(os.waitstatus_to_exitcode(status)))


def _started(
    work: Callable[[], None], rank: int, processes: int, port: int, directory: Path
) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        said = os.open(directory / f"said-{rank}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(processes),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
        }
        work()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
