"""The sandboxed process: `python -m multitalk.serving.sandbox.worker`.

The fork server has the libraries loaded and one thread, and never sees what a client sent: that
goes through a socket which it hands to the fork. Each fork does one task and ends. On stdin is a
socket with one command a line:

    fork NAME    with a socket attached: do the task that comes there; answers the fork's pid
    end PID      end that fork, if it has not; answers its exit status, or minus its signal
"""

import errno
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from multitalk.confinement.confine import code_paths
from multitalk.confinement.kernel import die_with_parent, forbid_files, forbid_system_calls
from multitalk.disk import DISK_ERRORS, work_disk_error
from multitalk.errors import MultiTalkError
from multitalk.serving.sandbox import forking
from multitalk.serving.sandbox.ipc import encode_frame, error_to_json, receive_frame

NICE_INCREMENT = 5  # nice(2): about a third of the CPU time on a busy machine
MAX_CPUS = 4  # each thread of a library takes address space, and there is one for each CPU
OOM_SCORE_ADJ = b"1000"  # proc(5): /proc/PID/oom_score_adj
# Read by the libraries to detect the machine's features.
_MACHINE_FILES = (
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)
_MAX_TRACEBACK = 4000  # characters
_MEMORY_ERRORS = (errno.EFBIG, errno.ENOMEM)


def main() -> None:
    """Fork until the server closes the connection."""
    die_with_parent()
    _lower_priority()
    control = socket.socket(fileno=os.dup(0))
    not_loaded = list(dict.fromkeys(task.module for task in TASKS.values()))
    while True:
        if not_loaded and not select.select([control], [], [], 0)[0]:
            prepare(not_loaded.pop(0))
            continue
        command, descriptors, _, _ = socket.recv_fds(control, 256, 1)
        if not command:
            return
        word, _, argument = command.decode("ascii").strip().partition(" ")
        if word == "fork":
            module = TASKS[argument].module
            if module in not_loaded:
                not_loaded.remove(module)
                prepare(module)
            run = partial(_run_attached, argument, descriptors[0])
            control.sendall(b"%d\n" % forking.fork(control, descriptors, run))
        elif word == "end":
            control.sendall(b"%d\n" % forking.end(int(argument)))


def _run_attached(name: str, descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as connection:
        run_task(name, connection)


def _lower_priority() -> None:
    """Few CPUs and a low priority; killed first where memory is exhausted."""
    os.nice(NICE_INCREMENT)
    if sys.platform != "linux":
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:MAX_CPUS])
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(OOM_SCORE_ADJ)


@dataclass(frozen=True)
class SandboxTask:
    """A task, done by the function of its name.

    Attributes:
        module: Of this package; its `prepare` loads slow libraries before any client's data.
        is_isolated: Whether it starts no process and reads only the files that it is given.
    """

    module: str
    is_isolated: bool


TASKS = {
    "faces": SandboxTask("media_tasks", is_isolated=True),
    "inspection": SandboxTask("media_tasks", is_isolated=True),
    "small_picture": SandboxTask("media_tasks", is_isolated=True),
    "recordings": SandboxTask("media_tasks", is_isolated=True),
    "lengths": SandboxTask("speech_tasks", is_isolated=False),
    "speech": SandboxTask("speech_tasks", is_isolated=False),
}


def prepare(module: str) -> ModuleType:
    """Load a module of this package with its slow libraries."""
    loaded = import_module(f"{__package__}.{module}")
    loaded.prepare()
    return loaded


def run_task(name: str, connection: socket.socket) -> None:
    """Do the task that comes on a socket; the process is restricted for good."""

    def send(content: object) -> None:
        connection.sendall(encode_frame(content))

    task = TASKS[name]
    function = getattr(import_module(f"{__package__}.{task.module}"), name)
    task_message = receive_frame(connection)
    directory = Path(task_message["directory"])
    tempfile.tempdir = str(directory)
    if task.is_isolated:
        readable = [Path(place) for place in (*_MACHINE_FILES, *task_message["readable"])]
        present = [place for place in (*code_paths(), *readable) if place.exists()]
        forbid_files(present, [directory])
        forbid_system_calls()
    _limit(task_message["limits"])
    send({"begun": True})
    try:
        answer = function(task_message["given"], directory, lambda field: send({"at": field}))
        send({"answer": answer})
    except Exception as error:  # also of a library on a damaged file; the server logs it
        send(_failure(error))


def _failure(error: Exception) -> dict[str, object]:
    """The message about a task that has failed."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number in _MEMORY_ERRORS:
        return {"too_much": True}
    if number in DISK_ERRORS:
        error = work_disk_error(number)
    if isinstance(error, MultiTalkError):
        return {"error": error_to_json(error)}
    return {"broken": "".join(traceback.format_exception(error))[-_MAX_TRACEBACK:]}


def _limit(limits: Mapping[str, Any]) -> None:
    """Set hard resource limits."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that EFBIG is raised
    values = {
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in values.items():
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):
            if sys.platform == "linux":
                raise


if __name__ == "__main__":
    main()
