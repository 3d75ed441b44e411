"""The command line's way in: it imports next to nothing, so it hears a Ctrl-C from the start."""

import os
import signal
from types import FrameType

IMPORTING = "<frozen importlib"  # in the file name of a frame at which something is imported
AGAIN_SECONDS = 0.05


def main() -> None:
    """Run the command line; a request to end it is obeyed as Ctrl-C is, after cleaning up."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so behind a `&`
    if heard:
        signal.signal(signal.SIGINT, _leave)
    from multitalk.cli.commands import app  # noqa: PLC0415 - takes a while

    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
        signal.signal(signal.SIGHUP, _end)  # the terminal was closed
    if heard:
        signal.signal(signal.SIGALRM, _interrupt_again)
        signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except KeyboardInterrupt:  # no command had begun
        raise SystemExit(128 + signal.SIGINT) from None
    except OSError as error:  # where a command writes what it found: standard output, mostly
        from multitalk.cli.console import EXIT_WORKER_ERROR, complain  # noqa: PLC0415
        from multitalk.disk import DISK_ERRORS, local_disk_error  # noqa: PLC0415

        if error.errno not in DISK_ERRORS:
            raise
        complain(local_disk_error(error.errno).text())
        raise SystemExit(EXIT_WORKER_ERROR) from None


def _leave(number: int, _: FrameType | None) -> None:
    """End at once: nothing was begun, and an exception among imports would be printed."""
    os._exit(128 + number)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but after an import, where it would be lost.

    What is raised there may be printed and dropped (in a callback of importlib's), caught (protobuf
    goes on without its faster half) or take the form of a module that is missing.
    """
    while frame is not None and not frame.f_code.co_filename.startswith(IMPORTING):
        frame = frame.f_back
    if frame is None:
        raise KeyboardInterrupt
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)  # SIGALRM, which comes here again


def _interrupt_again(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does by now: a server has a way of its own to end."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        _interrupt(number, frame)
    else:
        signal.raise_signal(signal.SIGINT)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
