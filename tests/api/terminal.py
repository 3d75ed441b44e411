"""`multitalk` at a terminal: a process whose only way in and out is a pseudo-terminal."""

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

from patience import PATIENCE_SECONDS

COMMAND = [sys.executable, "-m", "multitalk"]
CTRL_C = b"\x03"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """The process; a context manager that leaves nothing behind."""

    def __init__(self, *arguments: str, directory: Path, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        self._bytes = b""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=directory,
            env={**os.environ, "TERM": "xterm", **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        """What is to be read, without colours and empty lines."""
        text = _COLOUR.sub("", self._bytes.decode("utf-8", "replace"))
        return [line.rstrip() for line in text.splitlines() if line.strip()]

    def wait_for(self, is_there: Callable[[list[str]], object]) -> list[str]:
        """The lines, once something is true of them."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not is_there(lines := self.lines):
            assert self.process.poll() is None, "\n".join(lines)
            assert time.monotonic() < end, "\n".join(lines)
            time.sleep(0.05)
        return lines

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def exit_code(self) -> int:
        """Once it has ended."""
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        while True:
            try:
                some = os.read(self._ours, 2**16)
            except OSError:  # how Linux says that nobody has the other side any more
                return
            if not some:
                return
            self._bytes += some
