"""The command line's way in: it imports next to nothing, so it hears a Ctrl-C from the start."""

import os
import signal
from types import FrameType


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
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


def _leave(number: int, _: FrameType | None) -> None:
    """End at once: nothing was begun, and an exception among imports would be printed."""
    os._exit(128 + number)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
