"""Entry point of the command line. It imports next to nothing, so Ctrl-C works from the start."""

import os
import signal
from types import FrameType

IMPORTING = "<frozen importlib"  # in the file name of a frame that imports
RETRY_SECONDS = 0.05


def main() -> None:
    """Run the command line. SIGTERM and SIGHUP end it as Ctrl-C does, after cleaning up."""
    has_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not behind a `&`
    if has_ctrl_c:
        signal.signal(signal.SIGINT, _exit_at_once)
    from multitalk.cli.app import app

    signal.signal(signal.SIGTERM, _exit)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
        signal.signal(signal.SIGHUP, _exit)  # the terminal was closed
    if has_ctrl_c:
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except KeyboardInterrupt:  # no command had begun
        raise SystemExit(128 + signal.SIGINT) from None
    except OSError as error:  # where a command writes what it found: standard output, mostly
        from multitalk.cli.console import EXIT_WORKER_ERROR, print_error
        from multitalk.disk import DISK_ERRORS, local_disk_error

        if error.errno not in DISK_ERRORS:
            raise
        print_error(local_disk_error(error.errno).text())
        raise SystemExit(EXIT_WORKER_ERROR) from None


def _exit_at_once(number: int, _: FrameType | None) -> None:
    """Exit without cleaning up: nothing was begun, and an import would print an exception."""
    os._exit(128 + number)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; during an import, try again a little later.

    An import may lose the exception: importlib's callbacks print and drop it, protobuf catches it
    and goes on without its faster half, others report a missing module.
    """
    while frame is not None and not frame.f_code.co_filename.startswith(IMPORTING):
        frame = frame.f_back
    if frame is None:
        raise KeyboardInterrupt
    signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
