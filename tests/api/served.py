"""`multitalk serve` as people start it: a process of its own, which starts its worker."""

import json
import os
import queue
import re
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx

from patience import PATIENCE_SECONDS, wait_until
from warm_start import start

COMMAND = ["-m", "multitalk", "serve", "--port", "0"]
READY = re.compile(r"MultiTalk on (http://\S+) \(engine (\w+), workers (\d+)\)")
WORKER = re.compile(r"worker \d+ is process (\d+)")


class Served:
    """The process; a context manager that leaves nothing behind.

    Attributes:
        url: Its address.
        engine: What it says that it renders with.
        workers: Ids of the worker processes that it has started so far.
        lines: Its log.
    """

    def __init__(self, data: Path, *options: str) -> None:
        self.workers: list[int] = []
        self.lines: list[str] = []
        self._said: queue.Queue[str] = queue.Queue()
        environ = {
            **os.environ,
            "MULTITALK_WORK_DIRECTORY": str(data.parent),
            "MULTITALK_ALLOW_LOOPBACK": "true",
            "PYTHONUNBUFFERED": "1",
        }
        read, write = zip(*(os.pipe() for _ in range(2)), strict=True)
        self.process = start(
            *(*COMMAND, "--data", str(data), *options),
            imports=["multitalk.cli.app", "multitalk.serving.api.serve"],
            environment=environ,
            output=write[0],
            errors=write[1],
        )
        for end in write:
            os.close(end)
        self._readers = [
            threading.Thread(target=self._read, args=(os.fdopen(end),)) for end in read
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> "Served":
        end = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            with suppress(queue.Empty):
                if said := READY.search(self._said.get(timeout=0.1)):
                    self.url, self.engine = said[1], said[2]
                    return self
        self.__exit__()
        raise AssertionError("\n".join(self.lines))

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for worker in self.workers:
            if is_alive(worker):
                os.kill(worker, signal.SIGKILL)
        for reader in self._readers:
            reader.join()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=PATIENCE_SECONDS)

    def wait_for_workers(self, count: int) -> None:
        """Until so many were started in all."""
        wait_until(lambda: len(self.workers) >= count, says=lambda: "\n".join(self.lines))

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)

    def _read(self, stream) -> None:
        with stream:
            for line in stream:
                self.lines.append(line.rstrip())
                if found := WORKER.search(line):
                    self.workers.append(int(found[1]))
                self._said.put(line)

    def records(self) -> list[dict]:
        """The log's records."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]


def is_alive(process: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def gone(process: int) -> bool:
    """Whether a process ends within a while."""
    end = time.monotonic() + PATIENCE_SECONDS
    while is_alive(process):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
