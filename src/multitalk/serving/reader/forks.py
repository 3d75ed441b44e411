"""The process that reading processes are forked from: `python -m multitalk.serving.reader.forks`.

It has the libraries loaded and one thread, and never sees what a client sent: that goes through a
socket which it hands to the fork. Each fork answers one question and ends. On stdin is a socket
with one command a line:

    fork NAME    with a socket attached: answer the question that comes there; says the fork's pid
    end PID      end that fork, if it has not; says its exit status, or minus its signal
"""

import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from multitalk.fence.kernel import die_with_parent
from multitalk.serving.reader.answering import TASKS, answer_one, prepare

BEHIND_THE_SERVER = 5  # nice(2): about a third of what others get, where all are busy
MAX_CPUS = 4  # each thread of a library takes address space, and there is one for each CPU
LIKELIEST_VICTIM = b"1000"  # proc(5): /proc/PID/oom_score_adj


def main() -> None:
    """Fork until the server hangs up."""
    die_with_parent()
    _stay_small()
    control = socket.socket(fileno=os.dup(0))
    unprepared = list(dict.fromkeys(task.module for task in TASKS.values()))
    while True:
        if unprepared and not select.select([control], [], [], 0)[0]:
            prepare(unprepared.pop(0))
            continue
        command, descriptors, _, _ = socket.recv_fds(control, 256, 1)
        if not command:
            return
        word, _, argument = command.decode("ascii").strip().partition(" ")
        if word == "fork":
            module = TASKS[argument].module
            if module in unprepared:
                unprepared.remove(module)
                prepare(module)
            control.sendall(b"%d\n" % _forked(argument, descriptors[0], control))
        elif word == "end":
            control.sendall(b"%d\n" % _ended(int(argument)))


def _forked(name: str, descriptor: int, control: socket.socket) -> int:
    """Start a fork that answers on a socket; its pid."""
    gc.freeze()
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()
        os.setsid()  # so that it is ended with what it starts
        die_with_parent()
        with socket.socket(fileno=descriptor) as connection:
            answer_one(name, connection)
        status = 0
    finally:
        os._exit(status)


def _ended(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)  # until it is waited for, its number is nobody else's
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _stay_small() -> None:
    """Few threads in each fork; behind the server, and the first to go where memory ends."""
    os.nice(BEHIND_THE_SERVER)
    if sys.platform != "linux":
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:MAX_CPUS])
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(LIKELIEST_VICTIM)


if __name__ == "__main__":
    main()
