"""The parent's side of the fence: start a process that knows nothing, ask it one thing."""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from multitalk.fence.entering import READY

# Without the first, a module in the working directory could stand in for one of Python's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); sys.argv[:] = sys.argv[2:]\n"
    "from runpy import run_module; run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
# Without these, some Pythons do not find their library.
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_BLOCK_BYTES = 1 << 16
_MOST_COMPLAINT_BYTES = 4000
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Ended:
    """How a fenced process ended.

    Attributes:
        returncode: Its exit status, or minus the signal that ended it; a limit is a signal.
        answer: What it wrote, after it was ready.
        was_ready: Whether it was within its limits; if not, it never saw what it was given.
        complaint: The end of what it wrote to stderr.
    """

    returncode: int
    answer: bytes
    was_ready: bool
    complaint: str

    @property
    def died(self) -> bool:
        """Whether what it was given ended it: a crash or a limit, and not an exit of its own."""
        return self.was_ready and self.returncode < 0


def start_fenced(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    control: socket.socket | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a module as a process without environment, open files, terminal and folder.

    Args:
        module: Its name, such as `multitalk.speech.espeak_process`; calls `entering.enter`.
        arguments: Its `sys.argv[1:]`.
        environment: All that it gets of one.
        control: What it finds in stdin's place; what it writes to stdout and stderr is thrown away
            then.

    Returns:
        The process, with pipes for stdin, stdout and stderr if there is no `control`. Whoever
        starts it ends it.

    Raises:
        OSError: It cannot be started.
    """
    paths = [str(Path(place).absolute()) for place in sys.path]
    output = subprocess.PIPE if control is None else subprocess.DEVNULL
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-I", "-c", _START, json.dumps(paths), module, *arguments],
        stdin=subprocess.PIPE if control is None else control.fileno(),
        stdout=output,
        stderr=output,
        env={**kept, **(environment or {})},
        cwd="/",
        start_new_session=True,  # no terminal, and Ctrl-C is the parent's to handle
        bufsize=0,
    )


def run_fenced(
    module: str,
    given: bytes,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float,
    most_answer_bytes: int,
    watch: Callable[[], None] | None = None,
) -> Ended:
    """Start a module as `start_fenced` does, give it bytes by stdin, and wait for its answer.

    However this is left, the process has ended.

    Args:
        module: What to run.
        given: Its stdin.
        arguments: Its `sys.argv[1:]`.
        environment: All that it gets of one.
        timeout_seconds: From its start to its end.
        most_answer_bytes: It is killed at more.
        watch: Called some times a second while it works; what it raises ends the process.

    Raises:
        OSError: It could not be started.
        TimeoutError: It did not end in time.
    """
    deadline = time.monotonic() + timeout_seconds
    with start_fenced(module, arguments, environment=environment) as process:
        try:
            said, complaint = _exchange(process, given, deadline, most_answer_bytes, watch)
            while process.poll() is None:  # its pipes are closed, so this is short
                _look(deadline, watch)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_SECONDS)
        finally:
            process.kill()
        returncode = process.wait()
    was_ready = said.startswith(READY)
    return Ended(
        returncode,
        said.removeprefix(READY) if was_ready else b"",
        was_ready,
        complaint.decode("utf-8", "replace").strip(),
    )


def _exchange(
    process: "subprocess.Popen[bytes]",
    given: bytes,
    deadline: float,
    most_bytes: int,
    watch: Callable[[], None] | None,
) -> tuple[bytes, bytes]:
    """Write and read at once until both of its outputs are closed; or kill it at too much."""
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None  # noqa: S101 - for the type checker: all three are pipes
    assert stdout is not None  # noqa: S101
    assert stderr is not None  # noqa: S101
    said, complaint, left = bytearray(), bytearray(), memoryview(given)
    with selectors.DefaultSelector() as ready:
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        ready.register(stdin, selectors.EVENT_WRITE)
        ready.register(stdout, selectors.EVENT_READ)
        ready.register(stderr, selectors.EVENT_READ)
        while stdout in ready.get_map() or stderr in ready.get_map():
            _look(deadline, watch)
            for key, _ in ready.select(_LOOK_SECONDS):
                if key.fileobj is stdin:
                    try:
                        left = left[os.write(key.fd, left[:_BLOCK_BYTES]) :]
                    except BrokenPipeError:  # it has ended, or wants no more
                        left = left[:0]
                    if not left:
                        ready.unregister(stdin)
                        stdin.close()
                    continue
                block = os.read(key.fd, _BLOCK_BYTES)
                if not block:
                    ready.unregister(key.fileobj)
                elif key.fileobj is stdout:
                    said += block
                    if len(said) > most_bytes + len(READY):
                        process.kill()
                        return bytes(said), bytes(complaint)
                else:
                    complaint = (complaint + block)[-_MOST_COMPLAINT_BYTES:]
    return bytes(said), bytes(complaint)


def _look(deadline: float, watch: Callable[[], None] | None) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError
    if watch is not None:
        watch()
