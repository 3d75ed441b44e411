"""Free main memory of this machine, within the limits of a container; needs no torch."""

import re
from pathlib import Path

ROOT = Path("/")
# Of a control group's usage, pages of files that the system takes back where memory is short.
RECLAIMABLE = re.compile(r"^(?:total_)?(?:in)?active_file (\d+)$", re.MULTILINE)
LIMITS = (  # of control groups, version 2 and 1: files of the limit and of the usage
    ("sys/fs/cgroup/memory.max", "memory.current"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def available_bytes(root: Path = ROOT) -> float:
    """Free memory by the system and the control group, such as a container's; inf if unknown.

    Args:
        root: Of the file system in which the kernel tells it.
    """
    return min(
        _system_bytes(root), *(_control_group_bytes(root / limit, usage) for limit, usage in LIMITS)
    )


def _system_bytes(root: Path) -> float:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else float("inf")


def _control_group_bytes(limit: Path, usage: str) -> float:
    most, used = _read(limit).strip(), _read(limit.with_name(usage)).strip()
    if not most.isdigit() or not used.isdigit():  # "max", or no such version
        return float("inf")
    files = RECLAIMABLE.findall(_read(limit.with_name("memory.stat")))[:2]
    return max(0.0, int(most) - int(used) + sum(map(int, files)))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
