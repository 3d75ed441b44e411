"""The parent's side: start a confined process, send its input, receive its output."""

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

from multitalk.confinement.confine import READY

# Without -I, a module in the working directory could replace one of Python's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); sys.argv[:] = sys.argv[2:]\n"
    "from runpy import run_module; run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
# Without these, some Pythons do not find their shared library.
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_BLOCK_BYTES = 1 << 16
_MAX_STDERR_BYTES = 4000
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ExitResult:
    """The end of a confined process.

    Attributes:
        returncode: Its exit status, or minus the signal that ended it; limits end it by signals.
        output: Its output after `READY`.
        was_ready: Whether it was confined; if not, it never read its input.
        stderr: The end of its stderr.
    """

    returncode: int
    output: bytes
    was_ready: bool
    stderr: str

    @property
    def crashed(self) -> bool:
        """True if its input ended it, by a crash or a limit."""
        return self.was_ready and self.returncode < 0


def start_confined(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    control: socket.socket | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a module as a process without environment, open files, terminal or working directory.

    Args:
        module: Its name, such as `multitalk.speech.espeak_process`; it calls `confine.confine`.
        arguments: Its `sys.argv[1:]`.
        environment: Its whole environment.
        control: A socket in place of stdin; stdout and stderr are then discarded.

    Returns:
        The process, with pipes for stdin, stdout and stderr if there is no `control`. The caller
        ends it.

    Raises:
        OSError: It cannot be started.
    """
    paths = [str(Path(path).absolute()) for path in sys.path]
    pipe = subprocess.PIPE if control is None else subprocess.DEVNULL
    environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-I", "-c", _START, json.dumps(paths), module, *arguments],
        stdin=subprocess.PIPE if control is None else control.fileno(),
        stdout=pipe,
        stderr=pipe,
        env={**environ, **(environment or {})},
        cwd="/",
        start_new_session=True,  # no terminal, and Ctrl-C is the parent's to handle
        bufsize=0,
    )


def run_confined(
    module: str,
    given: bytes,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float,
    max_output_bytes: int,
    watch: Callable[[], None] | None = None,
) -> ExitResult:
    """Run a module as `start_confined` starts it; the process has ended on return and on an error.

    Args:
        module: Its name.
        given: Its stdin.
        arguments: Its `sys.argv[1:]`.
        environment: Its whole environment.
        timeout_seconds: From its start to its end.
        max_output_bytes: Beyond these it is killed.
        watch: Called several times a second; its exceptions end the process and are raised.

    Raises:
        OSError: It could not be started.
        TimeoutError: It did not end in time.
    """
    deadline = time.monotonic() + timeout_seconds
    with start_confined(module, arguments, environment=environment) as process:
        try:
            output, errors = _exchange(process, given, deadline, max_output_bytes, watch)
            while process.poll() is None:  # its outputs are closed, so it ends soon
                _check(deadline, watch)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
        finally:
            process.kill()
        returncode = process.wait()
    was_ready = output.startswith(READY)
    del output[: len(READY)]  # moves nothing: of minutes of speech each copy is 20 MB
    return ExitResult(
        returncode,
        bytes(output) if was_ready else b"",
        was_ready,
        errors.decode("utf-8", "replace").strip(),
    )


def _exchange(
    process: "subprocess.Popen[bytes]",
    given: bytes,
    deadline: float,
    most_bytes: int,
    watch: Callable[[], None] | None,
) -> tuple[bytearray, bytes]:
    """Write stdin and read stdout and stderr until both are closed; kill at too much output."""
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None  # noqa: S101 - for the type checker: all three are pipes
    assert stdout is not None  # noqa: S101
    assert stderr is not None  # noqa: S101
    output, errors, left = bytearray(), bytearray(), memoryview(given)
    with selectors.DefaultSelector() as ready:
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        ready.register(stdin, selectors.EVENT_WRITE)
        ready.register(stdout, selectors.EVENT_READ)
        ready.register(stderr, selectors.EVENT_READ)
        while stdout in ready.get_map() or stderr in ready.get_map():
            _check(deadline, watch)
            for key, _ in ready.select(_POLL_SECONDS):
                if key.fileobj is stdin:
                    left = _write_block(key.fd, left)
                    if not left:
                        ready.unregister(stdin)
                        stdin.close()
                    continue
                block = os.read(key.fd, _BLOCK_BYTES)
                if not block:
                    ready.unregister(key.fileobj)
                elif key.fileobj is stdout:
                    output += block
                    if len(output) > most_bytes + len(READY):
                        process.kill()
                        return output, bytes(errors)
                else:
                    errors = (errors + block)[-_MAX_STDERR_BYTES:]
    return output, bytes(errors)


def _write_block(descriptor: int, left: memoryview) -> memoryview:
    """Write as much as the pipe takes; the rest, empty if the process reads no more."""
    try:
        return left[os.write(descriptor, left[:_BLOCK_BYTES]) :]
    except BrokenPipeError:
        return left[:0]


def _check(deadline: float, watch: Callable[[], None] | None) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError
    if watch is not None:
        watch()
