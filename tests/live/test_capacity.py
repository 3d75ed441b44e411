"""How many live avatars a machine carries."""

import os
from pathlib import Path

import pytest

from multitalk.live.capacity import available_cores, sessions_for


@pytest.mark.parametrize(
    ("cores", "sessions"), [(0.2, 1), (1, 2), (2, 5), (4, 10), (1.2, 3), (16, 40)]
)
def test_as_many_sessions_as_the_cores_carry_and_one_at_least(cores, sessions):
    assert sessions_for(cores) == sessions


def test_a_containers_quota_counts_and_not_the_machines_cores(tmp_path: Path):
    quota, own = tmp_path / "cpu.max", len(os.sched_getaffinity(0))
    assert available_cores(quota) == own
    quota.write_text("max 100000\n")
    assert available_cores(quota) == own
    quota.write_text("50000 100000\n")
    assert available_cores(quota) == 0.5
    quota.write_text("99999999 1000\n")
    assert available_cores(quota) == own
