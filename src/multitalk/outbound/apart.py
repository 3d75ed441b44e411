"""Work in a thread that nobody waits for: neither others' work, nor the process when it ends.

The threads of an executor are few, are shared, and are waited for when Python ends. A host that
does not answer would hold them, and so whatever else they are for.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def apart(work: Callable[[], Answer], *, name: str) -> "Future[Answer]":
    """Do something in a thread of its own, which dies with the process.

    Args:
        work: What to do.
        name: Of the thread.

    Returns:
        What it will come to. Cancelling it does not end the work.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(work())
        except BaseException as error:  # raised where the answer is asked for
            answer.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return answer
