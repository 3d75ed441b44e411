"""The number of live avatars that a machine carries."""

import os
from pathlib import Path

# Of a core, by a session of 720 pixels that speaks, its encoder and its part of the server: 0.36;
# of 512 pixels 0.29, idle 0.14 (docs/live.md).
CORES_PER_SESSION = 0.4
# Of a container: microseconds of processor time in each period, or `max` (cgroup v2).
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def sessions_for(cores: float, each: float = CORES_PER_SESSION) -> int:
    """The number of sessions that so many cores carry, one at least.

    Args:
        cores: May be a fraction.
        each: Cores that a session needs.
    """
    return max(1, int(cores / each + 1e-9))


def available_cores(quota: Path = QUOTA) -> float:
    """The cores that this process may use: its affinity, and its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = float(len(os.sched_getaffinity(0)))
    else:
        cores = float(os.cpu_count() or 1)
    try:
        allowed, period = quota.read_text().split()
        return min(cores, int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # there is none, or it is `max`
        return cores
