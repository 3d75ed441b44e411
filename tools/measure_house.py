"""Print one row of figures that say how readable the repository is.

python tools/measure_house.py [--json | --columns | --words] [ROOT]

Code is `src/multitalk/**/*.py`, all its lines counted. Complexity is McCabe's, a mean over
functions and methods. Prose is docstrings, comments and the English documents, without code, tables
and `docs/experiments.md`, whose entries are never edited. `--json` prints the figures unrounded,
`--columns` the head of the table, too, `--words` the uses of each word of `DIALECT`.
"""

import argparse
import ast
import io
import json
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

ROOT = Path(__file__).resolve().parent.parent
SMALL_FILE_LINES = 130  # a smaller file with one importer may be a part of it
LONG_FUNCTION_LINES = 60
PROSE_COLUMNS = 120
SUBJECT_COLUMNS = 72
LAST_COMMITS = 200
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Assert, ast.ExceptHandler)

# Words that a reader from the field does not expect, and what the field says.
DIALECT = {
    # verbs
    "told": "reported, passed",
    "said": "given, stated",
    "heard": "received, recognised",
    "lies": "is",
    "bears": "has, tolerates",
    "borne": "tolerated",
    "hears": "receives",
    "asks for": "requests",
    "is asked": "is called",
    "comes of": "results from",
    "stands": "is",
    # phrases
    "what is": "(name the thing)",
    "of ours": "our, the project's",
    "of its own": "its own",
    "as good as": "equal to",
    "without a word": "silently",
    # adverbs and pronouns
    "anew": "again",
    "lest": "so that not",
    "whom": "(name the receiver)",
    "ours": "the project's",
    # names from theatre, housekeeping and post
    "puppet": "renderer",
    "casting": "face assignment",
    "outfit": "LoRA profiles",
    "keeper": "lease",
    "courier": "HTTP client",
    "outbox": "sender",
    "ledger": "database",
    "bury": "mark dead",
    "hurry": "stop now",
    "pulse": "change notifier",
    "handover": "delivery",
    "intake": "source file",
    "gate": "auth",
    "door": "entry point",
    "doors": "entry points",
    "pace": "real-time factor",
    "hiccup": "transient error",
    "sealing": "lip closure",
}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, metavar="ROOT")
    parser.add_argument("--json", action="store_true", help="the figures unrounded")
    parser.add_argument("--columns", action="store_true", help="also the head of the table")
    parser.add_argument("--words", action="store_true", help="how often each word is used")
    given = parser.parse_args()
    if given.words:
        used = words_used([*code_prose(sources(given.root)), *document_prose(given.root)])
        print("\n".join(f"{count:6} {word} -> {DIALECT[word]}" for word, count in used))
        return
    figures = measure(given.root)
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    if given.columns:
        print(f"| {' | '.join(figures)} |\n|{' --- |' * len(figures)}")
    print(f"| {' | '.join(map(_shown, figures.values()))} |")


def measure(root: Path) -> dict[str, object]:
    """All figures of the repository at `root`, by name, in the order of the row."""
    code = sources(root)
    lines = {name: text.count("\n") for name, text in code.items()}
    trees = {name: ast.parse(text) for name, text in code.items()}
    edges = imports_of(trees)
    importers = Counter(target for targets in edges.values() for target in targets)
    functions = [node for tree in trees.values() for node in ast.walk(tree) if _is_function(node)]
    counted = [complexity for tree in trees.values() for complexity in complexities(tree)]
    documents = list(document_prose(root))
    subjects = _git(root, "log", "--format=%s").splitlines()
    return {
        "commit": _git(root, "describe", "--always", "--dirty").strip(),
        "lines": sum(lines.values()),
        "files": len(lines),
        "median file": median(lines.values()),
        "largest file": max(lines.values()),
        "small files, one importer": sum(
            importers[name] == 1 and lines[name] < SMALL_FILE_LINES for name in lines
        ),
        "import circles": len(circles(edges)),
        "mean complexity": fmean(counted) if counted else None,
        "functions > 60 lines": sum(
            node.end_lineno - node.lineno + 1 > LONG_FUNCTION_LINES for node in functions
        ),
        "dialect in code, per 1,000 words": _per_thousand(list(code_prose(code))),
        "dialect in docs, per 1,000 words": _per_thousand(documents),
        "prose lines > 120": sum(len(line) > PROSE_COLUMNS for line in documents),
        "subjects > 72": sum(len(subject) > SUBJECT_COLUMNS for subject in subjects),
        "of the last 200": sum(len(one) > SUBJECT_COLUMNS for one in subjects[:LAST_COMMITS]),
    }


def sources(root: Path) -> dict[str, str]:
    """The code's texts by the names of their modules."""
    return {
        ".".join(path.relative_to(root / "src").with_suffix("").parts): path.read_text("utf-8")
        for path in sorted((root / "src" / "multitalk").rglob("*.py"))
    }


def imports_of(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Which modules each module imports, inside functions and for type checkers, too."""
    return {
        name: {
            found
            for node in _statements(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for found in _targets(node, trees)
        }
        - {name}
        for name, tree in trees.items()
    }


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements of a module and of what is in it: a tenth of the nodes that `ast.walk` has."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
                yield node
                waiting.append(node)


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The sets of two or more modules of which each reaches each other by imports."""
    reach = {name: _reached(name, edges) for name in edges}
    together = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in edges
        if name in reach[name]
    }
    return [list(modules) for modules in sorted(together)]


def complexities(tree: ast.Module) -> Iterator[int]:
    """McCabe's complexity of each function and method; nested functions count for it."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if _is_function(node):
            yield 1 + sum(map(_branches, ast.walk(node)))
        else:
            waiting.extend(ast.iter_child_nodes(node))


def code_prose(code: Mapping[str, str]) -> Iterator[str]:
    """The lines of all docstrings and comments."""
    for text in code.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS[0] | FUNCTIONS[1]):
                yield from (ast.get_docstring(node) or "").splitlines()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string.lstrip("# ")


def document_prose(root: Path) -> Iterator[str]:
    """The lines of the English documents that are neither code nor rows of a table."""
    for path in sorted([*root.glob("*.md"), *(root / "docs").glob("*.md")]):
        if path.name.endswith(".ko.md") or path.name == "experiments.md":
            continue
        is_code = False
        for line in path.read_text("utf-8").splitlines():
            if line.lstrip().startswith("```"):
                is_code = not is_code
            elif not is_code and not line.startswith("|"):
                yield line


def words_used(prose: Sequence[str]) -> list[tuple[str, int]]:
    """How often each word of `DIALECT` is in the prose, most often first."""
    text = re.sub(r"\s+", " ", " ".join(prose)).lower()
    counts = {word: len(re.findall(rf"(?<![\w`.]){word}(?!\w)", text)) for word in DIALECT}
    return sorted(counts.items(), key=lambda one: -one[1])


def _per_thousand(prose: Sequence[str]) -> float:
    words = len(re.findall(r"[A-Za-z][\w'-]*", " ".join(prose)))
    return 1000 * sum(count for _, count in words_used(prose)) / max(words, 1)


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, FUNCTIONS)


def _branches(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.Match):
        return len(node.cases)
    return isinstance(node, BRANCHES)


def _targets(node: ast.Import | ast.ImportFrom, modules: Iterable[str]) -> Iterator[str]:
    """The project's modules that a statement names; a package is its `__init__`."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [one if _module(one, modules) else str(node.module) for one in inside]
    for name in names:
        if found := _module(name, modules):
            yield found


def _module(name: str, modules: Iterable[str]) -> str | None:
    return next((one for one in (name, f"{name}.__init__") if one in modules), None)


def _reached(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [*edges[start]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(edges[name])
    return reached


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing where there is no repository."""
    done = subprocess.run(
        ["git", "-C", root, *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout


def _shown(figure: object) -> str:
    return f"{round(figure, 2):g}" if isinstance(figure, float) else f"{figure}"


if __name__ == "__main__":
    main()
