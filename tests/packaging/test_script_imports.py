"""Benchmarks and tools, which no other test runs: what they take from the package is there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/**/*.py")])


def names_in(module: str) -> set[str] | None:
    """What a module of ours defines or imports at its top, and its submodules; None: no module."""
    place = ROOT.joinpath("src", *module.split("."))
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not source.is_file():
        return None
    names = {file.stem for file in place.glob("*")}
    for statement in ast.walk(ast.parse(source.read_text())):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
            names.add(statement.id)
    return names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_exists(script: Path) -> None:
    for statement in ast.walk(ast.parse(script.read_text())):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(
            "multitalk"
        ):
            names = names_in(statement.module)
            assert names is not None, f"no module {statement.module}"
            lost = {alias.name for alias in statement.names} - names
            # The package itself hands its names out on demand
            assert not lost or statement.module == "multitalk", (statement.module, lost)
