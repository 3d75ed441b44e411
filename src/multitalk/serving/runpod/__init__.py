"""RunPod as a source of jobs for `serving.worker`.

process     main: settings, engine, then jobs until the platform says stop
sdk         what is used of RunPod's SDK: fitness checks, heartbeat, log, local modes
platform    RunPod's HTTP interface for workers
source      its jobs as a `JobSource`
trial       one job without RunPod: `python handler.py`

What the SDK would do by itself, what is done instead and the test of it: docs/runpod.md.
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
