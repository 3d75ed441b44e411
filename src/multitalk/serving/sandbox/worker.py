"""The sandboxed process: `python -m multitalk.serving.sandbox.worker`.

The fork server has the libraries loaded and one thread, and never sees what a client sent: that
goes through a socket which it hands to the fork. Each fork does one task and ends. On stdin is a
socket with one command a line:

    fork NAME    with a socket attached: do the task that comes there; answers the fork's pid
    end PID      end that fork, if it has not; answers its exit status, or minus its signal
"""

import errno
import gc
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
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from multitalk.confinement.confine import code_paths
from multitalk.confinement.kernel import die_with_parent, forbid_files, forbid_system_calls
from multitalk.disk import DISK_ERRORS, work_disk_error
from multitalk.errors import MultiTalkError
from multitalk.serving.sandbox.ipc import encode_frame, error_to_json, receive_frame

BEHIND_THE_SERVER = 5  # nice(2): about a third of what others get, where all are busy
MAX_CPUS = 4  # each thread of a library takes address space, and there is one for each CPU
LIKELIEST_VICTIM = b"1000"  # proc(5): /proc/PID/oom_score_adj
# Read by the libraries to learn what the machine can do.
_MACHINE = (
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)
_MAX_TRACEBACK = 4000  # characters
_TOO_MUCH = (errno.EFBIG, errno.ENOMEM)


def main() -> None:
    """Fork until the server hangs up."""
    die_with_parent()
    _stay_small()
    control = socket.socket(fileno=os.dup(0))
    unprepared = list(dict.fromkeys(task.module for task in TASKS.values()))
    while True:
        if unprepared and not select.select([control], [], [], 0)[0]:
            prepare(unprepared.pop(0))
            continue
        command, descriptors, _, _ = socket.recv_fds(control, 256, 1)
        if not command:
            return
        word, _, argument = command.decode("ascii").strip().partition(" ")
        if word == "fork":
            module = TASKS[argument].module
            if module in unprepared:
                unprepared.remove(module)
                prepare(module)
            control.sendall(b"%d\n" % _forked(argument, descriptors[0], control))
        elif word == "end":
            control.sendall(b"%d\n" % _ended(int(argument)))


def _forked(name: str, descriptor: int, control: socket.socket) -> int:
    """Start a fork that answers on a socket; its pid."""
    gc.freeze()
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()
        os.setsid()  # so that it is ended with what it starts
        die_with_parent()
        with socket.socket(fileno=descriptor) as connection:
            answer_one(name, connection)
        status = 0
    finally:
        os._exit(status)


def _ended(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)  # until it is waited for, its number is nobody else's
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _stay_small() -> None:
    """Few threads in each fork; behind the server, and the first to go where memory ends."""
    os.nice(BEHIND_THE_SERVER)
    if sys.platform != "linux":
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:MAX_CPUS])
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(LIKELIEST_VICTIM)


@dataclass(frozen=True)
class Task:
    """A kind of question, answered by the function of its name.

    Attributes:
        module: Of this package; its `prepare` loads what takes long, before anything of a client's
            is there.
        is_alone: Whether it starts no process, and reads no files but those that it is given.
    """

    module: str
    is_alone: bool


TASKS = {
    "faces": Task("media_tasks", is_alone=True),
    "small_picture": Task("media_tasks", is_alone=True),
    "recordings": Task("media_tasks", is_alone=True),
    "lengths": Task("speech_tasks", is_alone=False),
    "speech": Task("speech_tasks", is_alone=False),
}


def prepare(module: str) -> ModuleType:
    """Load a module of this package, and what takes long in it."""
    loaded = import_module(f"{__package__}.{module}")
    loaded.prepare()
    return loaded


def answer_one(name: str, connection: socket.socket) -> None:
    """Answer the question that comes on a socket; this process can do nothing else afterwards."""

    def say(content: object) -> None:
        connection.sendall(encode_frame(content))

    task = TASKS[name]
    work = getattr(import_module(f"{__package__}.{task.module}"), name)
    question = receive_frame(connection)
    directory = Path(question["directory"])
    tempfile.tempdir = str(directory)
    if task.is_alone:
        readable = [Path(place) for place in (*_MACHINE, *question["readable"])]
        present = [place for place in (*code_paths(), *readable) if place.exists()]
        forbid_files(present, [directory])
        forbid_system_calls()
    _limit(question["limits"])
    say({"begun": True})
    try:
        answer = work(question["given"], directory, lambda field: say({"at": field}))
        say({"answer": answer})
    except MultiTalkError as error:
        say({"error": error_to_json(error)})
    except MemoryError:
        say({"too_much": True})
    except OSError as error:
        if error.errno in _TOO_MUCH:
            say({"too_much": True})
        elif error.errno in DISK_ERRORS:
            say({"error": error_to_json(work_disk_error(error.errno))})
        else:
            say({"broken": traceback.format_exc()[-_MAX_TRACEBACK:]})
    except Exception:  # whatever a library makes of a damaged file; the server logs it
        say({"broken": traceback.format_exc()[-_MAX_TRACEBACK:]})


def _limit(limits: Mapping[str, Any]) -> None:
    """Set limits that only the kernel could lift."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error in its place
    wanted = {
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            if sys.platform == "linux":
                raise


if __name__ == "__main__":
    main()
