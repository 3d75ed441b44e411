"""One question, answered in a process of its own: within limits, and with an answer in any case."""

import errno
import resource
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from multitalk.disk import REFUSALS, disk_unusable
from multitalk.errors import MultiTalkError
from multitalk.fence.entering import code_paths
from multitalk.fence.kernel import forbid_files, forbid_system_calls
from multitalk.serving.reader.frames import next_question, packed
from multitalk.serving.reader.told import told_error

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
    "faces": Task("pictures", is_alone=True),
    "small_picture": Task("pictures", is_alone=True),
    "recordings": Task("sounds", is_alone=True),
    "lengths": Task("texts", is_alone=False),
    "speech": Task("texts", is_alone=False),
}


def prepare(module: str) -> ModuleType:
    """Load a module of this package, and what takes long in it."""
    loaded = import_module(f"{__package__}.{module}")
    loaded.prepare()
    return loaded


def answer_one(name: str, connection: socket.socket) -> None:
    """Answer the question that comes on a socket; this process can do nothing else afterwards."""

    def say(content: object) -> None:
        connection.sendall(packed(content))

    task = TASKS[name]
    work = getattr(import_module(f"{__package__}.{task.module}"), name)
    question = next_question(connection)
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
        say({"error": told_error(error)})
    except MemoryError:
        say({"too_much": True})
    except OSError as error:
        if error.errno in _TOO_MUCH:
            say({"too_much": True})
        elif error.errno in REFUSALS:
            say({"error": told_error(disk_unusable(error.errno))})
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
