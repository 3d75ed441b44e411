"""A file is short enough to be read at once."""

from pathlib import Path

import multitalk

LONGEST = 450


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lines = {
        str(path): len(path.read_text().splitlines())
        for path in Path(multitalk.__file__).parent.rglob("*.py")
    }
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}
