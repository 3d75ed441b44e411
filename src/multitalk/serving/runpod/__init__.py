"""RunPod's door: one job at a time from RunPod's queue, by RunPod's own SDK.

    process     main: settings, engine, then the SDK until the platform says stop
    fitness     what must work before the first job is asked for
    worker      jobs to answers: the engine in its own thread, and what to do if it does not stop
    task        one job there, and what it answers
    stream      pieces of a video on their way while it is rendered
    progress    how far the job is, at most once a second
    outbox      what is posted, as JSON that any parser reads, and how long it is tried
    scaler      the SDK's loops, made patient: no storms, no lost results, a quick end
    trial       one job without RunPod: `python handler.py`
    heartbeat   the SDK's second process, which must not outlive this one

What the SDK (1.12.0) would do by itself, what is done instead and the test of it: docs/runpod.md.
"""

import importlib
from types import SimpleNamespace
from typing import Any


def _import_sdk() -> None:
    """Import the SDK without its look at the processor.

    The SDK asks for the processor's name when it is imported, for a debugger that no worker uses.
    The answer takes several processes and 0.5 to 1.3 s, a third of the time until the first job.
    """
    try:
        cpuinfo: Any = importlib.import_module("cpuinfo")
    except ModuleNotFoundError:  # not needed by every version
        cpuinfo = SimpleNamespace(get_cpu_info=dict)
    ask = cpuinfo.get_cpu_info
    cpuinfo.get_cpu_info = dict  # no name: the SDK says that there is none
    try:
        importlib.import_module("runpod")
    finally:
        cpuinfo.get_cpu_info = ask


_import_sdk()
