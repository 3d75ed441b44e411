"""A signal may come at any moment, also while OpenCV reads the arguments of a call."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

SOURCES = Path(__file__).parents[1] / "src"
# Of `name(first, second[, third]) -> result`, what must be given
_SIGNATURE = r"^\s*{}\(([^\[)]*).*\) ->"


def calls() -> Iterator[tuple[str, str, list[str]]]:
    """Every call of a function of OpenCV: where, its name, and what it is called with."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if re.fullmatch(r"cv2(\.\w+)+", name):
                given = [ast.unparse(one) for one in node.args]
                yield f"{path.relative_to(SOURCES)}:{node.lineno}", name, given


def test_no_call_is_one_that_opencv_understands_only_at_its_second_try() -> None:
    """Where the first signature does not fit, OpenCV words the error and tries the next one.

    A handler that raises there, as Ctrl-C's does, leaves it without the words, and it crashes.
    """
    found = {place: (name, given) for place, name, given in calls() if len(_signatures(name)) > 1}
    assert any(name == "cv2.ellipse" for name, _ in found.values())
    for place, (name, given) in found.items():
        first = _signatures(name)[0]
        spread = any(one.startswith("*") for one in given)
        assert spread or len(given) >= len(first), f"{place}: {name} wants {first} first"
        if first == ["onnxFile"]:
            assert given[0].startswith("str("), f"{place}: {name} wants a path first"


@pytest.mark.parametrize(("name", "first"), [("cv2.ellipse", 7), ("cv2.blur", 2)])
def test_signatures_are_read_as_opencv_has_them(name: str, first: int) -> None:
    assert len(_signatures(name)[0]) == first


def _signatures(name: str) -> list[list[str]]:
    function = cv2
    for part in name.split(".")[1:]:
        function = getattr(function, part)
    pattern = _SIGNATURE.format(name.rpartition(".")[2])
    described = re.findall(pattern, function.__doc__ or "", re.MULTILINE)
    return [[one.strip() for one in inside.split(",") if one.strip()] for inside in described]
