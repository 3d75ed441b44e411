"""The figures of how the code reads, from code made here; and one that must stay at none."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("measure", ROOT / "tools" / "measure_house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def measured(tool, tmp_path):
    def measure(**files: str) -> dict[str, object]:
        for name, text in files.items():
            path = tmp_path / "src" / "multitalk" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tool.measure(tmp_path)

    return measure


def test_modules_that_import_each_other_are_a_circle(measured):
    there = "from multitalk.b import b\n"
    back = "def b():\n    from multitalk import a\n"
    assert measured(a=there, b=back)["import circles"] == 1
    assert measured(a=there, b="def b(): ...\n")["import circles"] == 0


def test_a_small_file_with_one_importer_is_counted_and_a_large_one_is_not(measured):
    user = "import multitalk.a\n"
    figures = measured(a="x = 1\n" * 129, b=user)
    assert (figures["small files, one importer"], figures["lines"]) == (1, 130)
    assert measured(a="x = 1\n" * 130, b=user)["small files, one importer"] == 0
    assert measured(a="x = 1\n", b=user, c=user)["small files, one importer"] == 0


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("return 1", 1),
        ("return 1 if x and x > 2 or x < 0 else 2", 4),
        ("return [y for y in x if y]", 3),
        ("while x:\n        assert x", 3),
        ("return lambda: 1 if x else 2", 2),
    ],
)
def test_complexity_is_one_and_each_branch(measured, body, complexity):
    assert measured(a=f"def f(x):\n    {body}\n")["mean complexity"] == complexity


def test_dialect_is_counted_in_comments_and_docstrings_but_not_in_names(measured):
    text = '"""What was told."""\ntold = "told"  # told anew, `told`\n'
    assert measured(a=text)["dialect in code, per 1,000 words"] == pytest.approx(3000 / 6)


def test_long_lines_of_tables_and_code_are_no_prose(measured, tmp_path):
    wide = "x" * 121
    page = f"{wide}\n| {wide} |\n```\n{wide}\n```\n{wide[1:]}\n"
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    assert measured(a="")["prose lines > 120"] == 1


def test_no_modules_import_each_other(tool):
    code = tool.sources(ROOT)
    trees = {name: tool.ast.parse(text) for name, text in code.items()}
    assert tool.circles(tool.imports_of(trees)) == []
