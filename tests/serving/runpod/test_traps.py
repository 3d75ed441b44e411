"""docs/runpod.md names a test for each trap: they exist."""

import re

from worker_process import ROOT

PAGE = ROOT / "docs" / "runpod.md"


def test_every_trap_names_tests_or_a_benchmark_that_exist() -> None:
    traps = PAGE.read_text(encoding="utf-8").partition("## Traps")[2].partition("\n## ")[0]
    rows = [line for line in traps.splitlines() if line.startswith("| ")][2:]
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(rows) > 20
    for row in rows:
        shown = row.split(" | ")[-1]
        tests = re.findall(r"`(test_\w+)`", shown)
        benchmarks = re.findall(r"`(benchmarks/\w+\.py)`", shown)
        assert tests or benchmarks, row
        assert set(tests) <= defined, row
        assert all((ROOT / benchmark).is_file() for benchmark in benchmarks), row
