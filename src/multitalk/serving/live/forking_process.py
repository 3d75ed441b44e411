"""The process that live sessions' or WebRTC peers' processes are forked from.

`python -m multitalk.serving.live.forking_process MODULE`. It has the module's libraries loaded and
one thread, and never sees what a client sent: that comes through the pipes that each fork is given.
On stdin is a socket with the commands of `serving.sandbox.worker`; `fork` has the fork's stdin and
stdout attached.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from multitalk.confinement.kernel import die_with_parent
from multitalk.serving.sandbox import forking


def main() -> None:
    """Fork until the server closes the connection."""
    die_with_parent()
    control = socket.socket(fileno=os.dup(0))
    module = import_module(sys.argv[1])
    while True:
        command, descriptors, _, _ = socket.recv_fds(control, 256, 2)
        if not command:
            return
        word, _, argument = command.decode("ascii").strip().partition(" ")
        if word == "fork":
            run = partial(_run, module.main, descriptors)
            number = forking.fork(control, descriptors, run)
        else:
            number = forking.end(int(argument))
        control.sendall(b"%d\n" % number)


def _run(run: Callable[[], None], pipes: Sequence[int]) -> None:
    """Run a function with these as stdin and stdout."""
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    try:
        run()
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()


if __name__ == "__main__":
    main()
