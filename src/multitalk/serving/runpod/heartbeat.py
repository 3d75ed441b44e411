"""The SDK's heartbeat is a process of its own; it must not outlive the worker.

Killed workers would otherwise be spoken for by their orphan for ever, and their jobs never given to
another: the platform's lease lasts as long as heartbeats name the job.
"""

import multiprocessing
import os
import signal

from multitalk.confinement.kernel import parent_death_signal


def tie_children_to_this_process() -> None:
    """From now on, what this process forks is killed with it. Linux only; elsewhere nothing.

    The kernel sends the signal when the forking thread ends: the SDK forks in the main thread. From
    Python 3.14 on, `multiprocessing` would leave that to a server of its own, which lives on.
    """
    set_signal = parent_death_signal(signal.SIGKILL)
    if set_signal is None:
        return
    multiprocessing.set_start_method("fork", force=True)
    parent = os.getpid()

    def tie() -> None:
        set_signal()
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    os.register_at_fork(after_in_child=tie)
