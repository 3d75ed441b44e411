"""Damaged files and odd texts: decoded, spoken, or refused by an error for the caller.

`python tools/fuzz.py` does the same for as long as one likes.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from trial import search

SEED = 20_261


def found(kind: str, first: int, last: int) -> list[str]:
    """What broke; fails where nothing at all got as far as a decoder."""
    *findings, outcomes = search(kind, SEED, first, last)
    assert outcomes.total() == last - first
    assert outcomes["decoded"] + outcomes["spoken"] > 0
    assert outcomes["refused"] > 0 or kind == "text"
    return [str(finding) for finding in findings]


@pytest.mark.parametrize(("kind", "count"), [("picture", 300), ("sound", 200), ("film", 75)])
def test_no_damage_to_a_file_breaks_its_decoder(kind: str, count: int) -> None:
    assert found(kind, 0, count) == []


def test_no_text_breaks_its_reading_or_the_synthesizer() -> None:
    pytest.importorskip("espeakng_loader", reason="the extra `speech` is not installed")
    assert found("text", 0, 10) == []
