"""Docstrings name what is there, by its name; a name is one type."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src" / "multitalk"
ENTRY = re.compile(r"^    (\*{0,2}\w+)(?: \([^)]*\))?:(?: |$)", re.MULTILINE)
# Packages whose docstrings begin with a noun or a verb, not with a question.
PLAIN = ("cli", "confinement", "delivery", "evaluation", "face", "inputs", "job", "local")
PLAIN += ("media", "messages", "net", "schema", "serving")
QUESTION = re.compile(r"(What|Who|Whom|How|Why|Where|When|Whatever|Whoever)\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def section(text: str, name: str) -> list[str]:
    """The names of a section of a docstring whose common indentation is gone."""
    found = re.search(rf"^{name}:\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
    return ENTRY.findall(found[1]) if found else []


def parameters(function: Function) -> set[str]:
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None}


def attributes(node: ast.ClassDef) -> set[str]:
    """Names that a class's body or its methods set, and its properties."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            found.add(inner.attr)
        elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
            found.add(inner.target.id)
        elif isinstance(inner, ast.Assign):
            found |= {one.id for one in inner.targets if isinstance(one, ast.Name)}
        elif isinstance(inner, Function):
            found.add(inner.name)
    return found


def wrong_names(tree: ast.Module) -> Iterator[str]:
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | Function):
            continue
        text = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            parents = [
                classes[base.id] for base in node.bases if getattr(base, "id", "") in classes
            ]
            known = attributes(node).union(*(attributes(parent) for parent in parents))
            start = [one for one in node.body if getattr(one, "name", "") == "__init__"]
            given = parameters(start[0]) if start else known
            for name in section(text, "Attributes"):
                if not {name} & known and not _inherits_elsewhere(node, classes):
                    yield f"{node.name}: attribute {name}"
        else:
            given = parameters(node)
        for name in section(text, "Args"):
            if name.lstrip("*") not in given:
                yield f"{node.name}: argument {name}"


def _inherits_elsewhere(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    return any(getattr(base, "id", "") not in classes for base in node.bases)


@pytest.mark.parametrize(
    "path", sorted(SOURCES.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCES))
)
def test_arguments_and_attributes_are_there(path: Path) -> None:
    assert list(wrong_names(ast.parse(path.read_text("utf-8")))) == []


def test_a_wrong_name_is_found() -> None:
    source = '''
def speak(text):
    """Speak.

    Args:
        words: Said.
    """
'''
    assert list(wrong_names(ast.parse(source))) == ["speak: argument words"]


def questions(tree: ast.Module) -> Iterator[str]:
    """Docstrings of functions and classes that begin with a question's word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | Function):
            text = ast.get_docstring(node) or ""
            if QUESTION.match(text):
                yield f"{node.name}: {text.splitlines()[0]}"


@pytest.mark.parametrize("package", PLAIN)
def test_docstrings_begin_with_a_noun_or_a_verb(package: str) -> None:
    paths = sorted((SOURCES / package).rglob("*.py"))
    assert paths
    found = [one for path in paths for one in questions(ast.parse(path.read_text("utf-8")))]
    assert found == []


def type_names(tree: ast.Module) -> Iterator[str]:
    """Names of a module's classes and type aliases, without a leading underscore.

    Type variables are no types, and each command has options of its own, `...Option`.
    """
    for node in tree.body:
        name = ""
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            is_variable = ast.unparse(node.value).startswith("TypeVar(")
            name = "" if is_variable else node.targets[0].id
        if re.match("_?[A-Z][a-z]", name) and not name.endswith("Option"):
            yield name.lstrip("_")


def test_a_name_is_one_type() -> None:
    homes: dict[str, set[str]] = {}
    for path in SOURCES.rglob("*.py"):
        for name in type_names(ast.parse(path.read_text("utf-8"))):
            homes.setdefault(name, set()).add(str(path.relative_to(SOURCES)))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_a_question_and_a_name_are_found() -> None:
    tree = ast.parse(
        'class _Voice:\n    """How a voice is."""\n\nPicture = bytes\nT = TypeVar("T")'
    )
    assert list(questions(tree)) == ["_Voice: How a voice is."]
    assert list(type_names(tree)) == ["Voice", "Picture"]
