"""The fork server's process: what it does at a command, and what its forks begin with."""

import errno
import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from multitalk.confinement.kernel import die_with_parent


def fork(control: socket.socket, descriptors: Sequence[int], run: Callable[[], None]) -> int:
    """Fork a process that runs a function and leads a session; its pid, or minus `errno`.

    Args:
        control: Where commands come; closed in the fork.
        descriptors: The fork's, which are closed here.
        run: Called in the fork, which ends with it.
    """
    gc.freeze()  # a collection in a fork would copy the memory that it shares
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:  # no more processes or memory; forks that run go on
        pid = -(error.errno or errno.EAGAIN)
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()
        os.setsid()  # so that it is killed with its children
        die_with_parent()
        if os.getppid() != parent:  # it had ended before that
            return status
        run()
        status = 0
    finally:
        os._exit(status)


def end(pid: int) -> int:
    """Kill a fork, if it runs, with its children; its exit status, or minus its signal."""
    os.kill(pid, signal.SIGKILL)  # its pid is not reused before `waitpid`
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
