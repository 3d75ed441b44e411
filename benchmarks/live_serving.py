"""A `multitalk serve` of a benchmark's own, and the sounds that live benchmarks send."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

RATE = 16_000
COMMAND = [sys.executable, "-m", "multitalk", "serve", "--port", "0"]
MARKS = Path(__file__).parent / "live_marks"
END_SECONDS = 30


@contextmanager
def served(*, marks: bool = False) -> Iterator[str]:
    """The address of a server without workers, with room for 16 live sessions.

    Args:
        marks: Paint the marks of `live_marks` into the sessions' frames.
    """
    environment = dict(os.environ)
    if marks:
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(MARKS), environment.get("PYTHONPATH")))
        )
    with tempfile.TemporaryDirectory() as data:
        command = [*COMMAND, "--data", data, "--workers", "0", "--live-sessions", "16"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://\S+?(?= \()", line)
            if found is None:
                raise SystemExit(f"the server did not start: {line}")
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(END_SECONDS)


def hum(seconds: float) -> bytes:
    """Something that opens the mouth: a hum of changing loudness, int16."""
    times = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 140 * harmonic * times) / harmonic for harmonic in range(1, 9))
    return (6000 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))).astype("<i2").tobytes()
