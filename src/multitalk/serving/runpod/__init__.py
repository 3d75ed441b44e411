"""RunPod as a source of jobs for `serving.worker`.

process          main: settings, engine, then jobs until the platform says stop
sdk              the parts of RunPod's SDK that are used: fitness checks, heartbeat, log
sdk_local_modes  the SDK's local modes: one job without RunPod, by `python handler.py`
platform         RunPod's HTTP interface for workers
runpod_source    its jobs as a `JobSource`

docs/runpod.md lists what the SDK would do, what this worker does instead, and the test of it.
"""

import importlib
from types import SimpleNamespace
from typing import Any


def _import_sdk() -> None:
    """Import the SDK without its query of the processor's name.

    The SDK queries it when it is imported, for a debugger that no worker uses. That takes several
    processes and 0.5 to 1.3 s, a third of the time until the first job.
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
