"""The child's side of the fence: what a process gives up before it reads a caller's bytes."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from multitalk.fence.kernel import die_with_parent, forbid_files, forbid_system_calls

READY = b"ready\n"  # comes before the answer, from a process that is within its limits


class Limits(NamedTuple):
    """How much a fenced process may use before it is ended.

    Attributes:
        memory_bytes: Of address space, which is more than it touches: a thread's stack and heap
            count 72 MB on Linux.
        cpu_seconds: Of all its threads.
        file_bytes: The largest file that it may write; 0 for none.
        open_files: At one time.
        threads: Whether it may start threads. Processes it may not start in any case.
    """

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int = 0
    open_files: int = 64
    threads: bool = False


def enter(
    limits: Limits, *, readable: Sequence[Path] = (), writable: Sequence[Path] = ()
) -> BinaryIO:
    """Confine this process for good, and tell its parent that it is ready.

    Everywhere: memory, CPU time, open files, written bytes, no core file. On Linux also no new
    processes and programs, no network, no signals to other processes, and where the kernel has
    Landlock, no files but those named here. Linux without seccomp or Landlock, such as gVisor,
    leaves these out.

    Args:
        limits: What it may use from here on, and has used before.
        readable: Files and folders that it may still open.
        writable: Folders in which it may write besides, `file_bytes` a file.

    Returns:
        Where the answer goes. What anybody prints to stdout is thrown away from here on.

    Raises:
        OSError: A limit could not be set (Linux).
    """
    answers = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    sys.dont_write_bytecode = True
    sys.excepthook = _end_by_signal_without_memory
    die_with_parent()
    _set_limits(limits)
    forbid_files(readable, writable)
    forbid_system_calls()
    answers.write(READY)
    answers.flush()
    return answers


def code_paths() -> tuple[Path, ...]:
    """Where Python and its packages are, for a process that has not imported all it needs."""
    places = [*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, "/lib", "/lib64", "/usr/lib"]
    return tuple(Path(place) for place in dict.fromkeys(places) if place and Path(place).exists())


def _set_limits(limits: Limits) -> None:
    import resource  # noqa: PLC0415 - POSIX only

    wanted = {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
    if not limits.threads:
        wanted["RLIMIT_NPROC"] = 0  # counts threads, too; root is exempt
    for name, value in wanted.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            if sys.platform == "linux":  # macOS takes no limit of address space below what it maps
                raise
    with suppress(OSError, ValueError):  # written beyond the limit: an error in place of a signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _end_by_signal_without_memory(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """So that the parent sees one way of ending at a limit."""
    if issubclass(kind, MemoryError):
        os.abort()
    sys.__excepthook__(kind, error, trace)
