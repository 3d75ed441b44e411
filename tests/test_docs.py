"""What the documents say exists: commands, options, targets, links, figures that must agree."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

import multitalk
from multitalk.cli.app import app
from multitalk.schema import TalkResult, parse_request
from multitalk.settings import Settings

ROOT = Path(__file__).parents[1]
NOT_OURS = {".venv", "out", "build", "dist", "node_modules"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in NOT_OURS or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Fenced code: language and text of each."""
    return FENCE.findall(page.read_text("utf-8"))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def code_of(page: Path) -> str:
    """All that a reader may copy: fenced code and code within lines."""
    inline = re.findall(r"`([^`\n]+)`", prose(page))
    return "\n".join([*(text for _, text in blocks(page)), *inline])


def command_lines(page: Path) -> list[str]:
    """Every `multitalk ...` of a page's code blocks, as a shell would read it."""
    text = "\n".join(text for _, text in blocks(page)).replace("\\\n", " ")
    lines = re.findall(r"^(?:\.venv/bin/)?multitalk (.+)$", text, re.MULTILINE)
    return [re.split(r" [<>|#] ?", line)[0] for line in lines]


def headings(page: Path) -> list[str]:
    return re.findall(r"^(#+) ", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_files_that_contributing_names_are_there() -> None:
    page = ROOT / "CONTRIBUTING.md"
    named = re.findall(r"`([\w./]+/[\w.]+\.(?:py|json))`", prose(page))
    assert len(named) > 40
    for name in named:
        invented = re.search(r"\b(mirror|depot)\b", name)
        is_there = (ROOT / name).exists() or (ROOT / "src/multitalk" / name).exists()
        assert invented or is_there, name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file) if file else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    named = re.findall(r"^make ([a-z-]+)\b", code_of(page), re.MULTILINE)
    assert set(named) <= TARGETS


def test_contributing_explains_every_target() -> None:
    rows = re.findall(r"^\| `make ([a-z-]+)` \|", prose(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    assert set(rows) == TARGETS


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in command_lines(page)}))
def test_command_lines_parse(line: str) -> None:
    name, *arguments = shlex.split(line)
    COMMANDS[name].make_context(name, arguments)  # exits where it cannot be parsed


@pytest.mark.parametrize("page", READMES, ids=name_of)
def test_the_readme_shows_every_command(page: Path) -> None:
    assert {line.split()[0] for line in command_lines(page)} == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_named_in_passing_exist(page: Path) -> None:
    options = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in parameter.opts
    }
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if named := re.match(r"(?:\.venv/bin/)?multitalk ([a-z]+)\b", code):
            assert named[1] in COMMANDS, code
        if named or page in READMES:
            assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code)) <= options, code


def test_both_readmes_have_the_same_shape_and_the_same_code() -> None:
    english, korean = READMES
    assert headings(english) == headings(korean)
    assert blocks(english) == blocks(korean)
    for pattern in (r"\]\(([^)]+)\)", r"^\|"):  # links; lines of tables
        counts = [len(re.findall(pattern, prose(page), re.MULTILINE)) for page in READMES]
        assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["api", "deployment"])
def test_the_korean_page_has_the_fields_and_the_code_of_the_english_one(name: str) -> None:
    english, korean = (ROOT / "docs" / f"{name}{suffix}.md" for suffix in ("", ".ko"))
    assert blocks(english) == blocks(korean)
    fields = [
        re.findall(r"^\| (`[^|]+`) \|", prose(page), re.MULTILINE) for page in (english, korean)
    ]
    assert fields[0] == fields[1]
    assert len(fields[0]) > 10


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(
        r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", prose(ROOT / "CHANGELOG.md"), re.M
    )
    assert versions[0] == multitalk.__version__


def test_what_is_told_to_be_installed_is_what_the_project_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    texts = [path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")]
    texts += [code_of(page) for page in PAGES] + [(ROOT / "Makefile").read_text("utf-8")]
    told = re.findall(r"[a-z][a-z-]*(?:==|<)[\d.]*\d", "\n".join(texts))
    pinned = {pin for pin in told if re.match(r"espeakng|runpod|fastapi", pin)}
    assert pinned
    assert all(f'"{pin}"' in project for pin in pinned), pinned
    assert not re.search(r"pip install .*multitalk-serverless", "\n".join(texts))  # not on PyPI


def test_the_readme_names_the_supported_versions_of_python() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    supported = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    for page in READMES:
        assert all(version in prose(page) for version in supported)


def test_the_shown_request_is_valid_and_the_shown_reply_whole() -> None:
    request, reply = (json.loads(text) for kind, text in blocks(READMES[0]) if kind == "json")
    parse_request(request["input"], settings=Settings())
    TalkResult.model_validate(reply)
