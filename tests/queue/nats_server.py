"""A real nats-server on loopback, started and stopped by a test."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
NO_SERVER = "no nats-server: apt-get install nats-server, or set NATS_SERVER"


def binary() -> str | None:
    """Where the server is: NATS_SERVER, the PATH, or where .ci/run has put it."""
    named = os.environ.get("NATS_SERVER")
    unpacked = ROOT / "out" / "nats-server" / "usr" / "sbin" / "nats-server"
    return named or shutil.which("nats-server") or (str(unpacked) if unpacked.exists() else None)


class NatsServer:
    """One server, its data in a directory of the test's; it may be killed and started again."""

    def __init__(self, directory: Path, *options: str) -> None:
        found = binary()
        if found is None:
            pytest.skip(NO_SERVER)
        directory.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._log = directory / "log"
        self._command = [
            *(found, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(directory)),
            *options,
        ]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < ends, self._log.read_text()
                time.sleep(0.01)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)

    def pause(self) -> None:
        """Let it hear and not answer."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)
