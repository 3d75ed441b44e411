"""Starts Python programs in processes that have imported large libraries already.

What a worker imports takes a second of a processor, and tests start a hundred workers. One process
per process that tests imports it, and is forked for each start; each fork then runs its program as
`python -u` would, with an environment, a directory and a process group of its own. Modules that
read the environment when they are imported are imported again by each.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from patience import PATIENCE_SECONDS

READ_THE_ENVIRONMENT = ("runpod", "multitalk.serving.runpod")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # until it forks
MAX_REQUEST_BYTES = 2**18
NUMBER = struct.Struct("=i")


class WarmProcess:
    """A script that runs; as much of `subprocess.Popen` as tests need.

    Attributes:
        pid: Its process id.
        returncode: As `Popen`'s; None while it is not known to have ended.
    """

    def __init__(self, told: socket.socket) -> None:
        self._told = told  # the id, and in the end the code
        self._lock = threading.Lock()
        (self.pid,) = NUMBER.unpack(told.recv(NUMBER.size))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its code."""
        with self._lock:
            if self.returncode is None:
                if not select.select([self._told], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
                (self.returncode,) = NUMBER.unpack(self._told.recv(NUMBER.size))
                self._told.close()
            return self.returncode

    def poll(self) -> int | None:
        """Its code, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def start(
    *arguments: str,
    imports: Sequence[str],
    environment: Mapping[str, str],
    output: int,
    errors: int | None = None,
    directory: Path | None = None,
) -> WarmProcess | subprocess.Popen[bytes]:
    """Start a program, the leader of a process group.

    Where forks of a process that has loaded libraries are not safe, and where others are to be
    found, this is `start_fresh`.

    Args:
        arguments: Of `python`: a script or `-m` and a module, and what follows.
        imports: Modules that it imports, which are imported once for all such programs.
        environment: All of its environment.
        output: Descriptor of its output.
        errors: That of its errors; without it they are in the output.
        directory: Where it runs, if not here.
    """
    if sys.platform != "linux" or environment.get("PYTHONPATH") != os.environ.get("PYTHONPATH"):
        return start_fresh(
            *arguments, environment=environment, output=output, errors=errors, directory=directory
        )
    request = Request(arguments, imports, dict(environment), str(directory or Path.cwd()))
    ours, theirs = socket.socketpair()
    with theirs:
        fds = [theirs.fileno(), output, output if errors is None else errors]
        socket.send_fds(_forking_process(os.getpid()), [json.dumps(request).encode()], fds)
    return WarmProcess(ours)


def start_fresh(
    *arguments: str,
    environment: Mapping[str, str],
    output: int,
    errors: int | None = None,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """As `start`, by an interpreter that imports all that the program needs."""
    return subprocess.Popen(
        [sys.executable, "-u", *arguments],
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if errors is None else errors,
        start_new_session=True,
    )


def run_to_end(
    *arguments: str,
    imports: Sequence[str],
    environment: Mapping[str, str],
    directory: Path | None = None,
    is_fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Start a program as `start` does, or `start_fresh`, and wait for its end."""
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        files = {"output": output.fileno(), "errors": errors.fileno()}
        if is_fresh:
            process = start_fresh(*arguments, environment=environment, directory=directory, **files)
        else:
            process = start(
                *arguments, imports=imports, environment=environment, directory=directory, **files
            )
        try:
            code = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
        said = [(file.seek(0), file.read())[1] for file in (output, errors)]
    return subprocess.CompletedProcess(arguments, code, *said)


class Request(NamedTuple):
    """What is to be started; see `start`."""

    arguments: Sequence[str]
    imports: Sequence[str]
    environment: Mapping[str, str]
    directory: str


@lru_cache(maxsize=1)
def _forking_process(_: int) -> socket.socket:
    """The connection to the process that is forked, started for this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-u", __file__, str(theirs.fileno())],
            env={**os.environ, **ONE_THREAD},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# The process that is forked ----------------------------------------------------------------------


def main() -> None:
    """Import and fork as requests want; only forks return, to run what is asked for."""
    with socket.socket(fileno=int(sys.argv[1])) as control:
        request = _fork_for_requests(control)
    run(request.arguments)


def _fork_for_requests(control: socket.socket) -> Request:
    """In a fork: what it is to do. Where nobody asks any more, all is ended."""
    started: dict[int, socket.socket] = {}
    awake, wakes = os.pipe()
    for end in (awake, wakes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control, awake], [], [])
        if awake in ready:
            os.read(awake, 512)
            _report_ends(started)
        if control not in ready:
            continue
        content, fds, _, _ = socket.recv_fds(control, MAX_REQUEST_BYTES, 3)
        if not content:
            for process in started:
                os.kill(process, signal.SIGKILL)
            os._exit(0)
        request = Request(*json.loads(content))
        _import(request.imports)
        told = socket.socket(fileno=fds[0])
        if process := os.fork():
            for descriptor in fds[1:]:
                os.close(descriptor)
            started[process] = told
            continue
        for one in started.values():
            one.close()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (awake, wakes):
            os.close(end)
        with told:
            _enter(request, fds[1:], told)
        return request


def _import(names: Sequence[str]) -> None:
    for name in names:
        with suppress(ModuleNotFoundError):  # an extra, and what imports it says so
            import_module(name)
    for name in list(sys.modules):
        if any(f"{name}.".startswith(f"{one}.") for one in READ_THE_ENVIRONMENT):
            del sys.modules[name]
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the memory that it shares


def _report_ends(started: dict[int, socket.socket]) -> None:
    for process in list(started):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            with started.pop(process) as told, suppress(BrokenPipeError):
                told.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _enter(request: Request, outputs: Sequence[int], told: socket.socket) -> None:
    """Make the surroundings those that were asked for, and tell the process id."""
    os.setsid()
    told.sendall(NUMBER.pack(os.getpid()))
    for descriptor, given in zip((1, 2), outputs, strict=True):
        os.dup2(given, descriptor)
        os.close(given)
    os.chdir(request.directory)
    os.environ.clear()
    os.environ.update(request.environment)


def run(arguments: Sequence[str]) -> None:
    """Run a program in this process, as the interpreter does."""
    first, *others = arguments
    if first == "-m":
        sys.argv, sys.path[0] = others, str(Path.cwd())
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [first, *others], str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()
