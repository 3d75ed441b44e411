"""What a test runs in a confined process: evaluates the expression on stdin."""

import ctypes  # noqa: F401 - for the expressions, as are the next
import os  # noqa: F401
import resource  # noqa: F401
import signal  # noqa: F401
import socket  # noqa: F401
import sys
import threading  # noqa: F401
from pathlib import Path

from multitalk.confinement.confine import ProcessLimits, confine

if __name__ == "__main__":
    limits = ProcessLimits(memory_bytes=256 << 20, cpu_seconds=1, threads="threads" in sys.argv)
    readable = [Path(place) for place in sys.argv[1:] if place != "threads"]
    with confine(limits, readable=readable) as answers:
        try:
            value = eval(sys.stdin.read())
        except OSError as error:
            value = type(error).__name__
        answers.write(str(value).encode())
