"""The child's side: the rights that a process gives up before it reads a caller's bytes."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from multitalk.confinement.kernel import die_with_parent, forbid_files, forbid_system_calls

READY = b"ready\n"  # written before the output, once all limits are set


class ProcessLimits(NamedTuple):
    """Resource limits of a confined process, which is killed beyond them.

    Attributes:
        memory_bytes: Address space, which is more than resident memory: a thread's stack and heap
            count 72 MB on Linux.
        cpu_seconds: CPU time of all its threads.
        file_bytes: Size of the largest file that it may write; 0: none.
        open_files: Number of open files.
        threads: Whether it may start threads. It may never start processes.
    """

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int = 0
    open_files: int = 64
    threads: bool = False


def confine(
    limits: ProcessLimits, *, readable: Sequence[Path] = (), writable: Sequence[Path] = ()
) -> BinaryIO:
    """Confine this process irrevocably, and tell its parent that it is ready.

    Everywhere: limits of memory, CPU time, open files and written bytes; no core dump. On Linux
    also no new processes or programs, no network, no signals to other processes and, where the
    kernel has Landlock, no files but those listed here. Where seccomp or Landlock are missing, as
    in gVisor, these do not apply.

    Args:
        limits: Limits, which include earlier use.
        readable: Files and folders that may still be opened.
        writable: Folders that may also be written to, `file_bytes` per file.

    Returns:
        The stream for the output. Later output to stdout is discarded.

    Raises:
        OSError: A limit could not be set (Linux).
    """
    output = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    sys.dont_write_bytecode = True
    sys.excepthook = _abort_on_memory_error
    die_with_parent()
    _set_limits(limits)
    forbid_files(readable, writable)
    forbid_system_calls()
    output.write(READY)
    output.flush()
    return output


def code_paths() -> tuple[Path, ...]:
    """Paths of Python and its packages, for a process that still has modules to import."""
    paths = [*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, "/lib", "/lib64", "/usr/lib"]
    return tuple(Path(path) for path in dict.fromkeys(paths) if path and Path(path).exists())


def _set_limits(limits: ProcessLimits) -> None:
    import resource  # noqa: PLC0415 - POSIX only

    values = {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
    if not limits.threads:
        values["RLIMIT_NPROC"] = 0  # counts threads, too; root is exempt
    for name, value in values.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            if sys.platform == "linux":  # macOS refuses limits below the mapped memory
                raise
    with suppress(OSError, ValueError):  # an error instead of a signal at file_bytes
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _abort_on_memory_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """End by a signal, as beyond every other limit."""
    if issubclass(kind, MemoryError):
        os.abort()
    sys.__excepthook__(kind, error, trace)
