"""The error tree: drawn as it is, documented as it is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from multitalk import errors
from multitalk.errors import Cancelled, InvalidRequest, MultiTalkError, RequestError, WorkerError

API = Path(__file__).parent.parent / "docs" / "api.md"


def below(parent: type[MultiTalkError]) -> Iterator[type[MultiTalkError]]:
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


CLASSES = list(below(MultiTalkError))
ANSWERED = [kind for kind in CLASSES if kind not in (RequestError, WorkerError)]  # never raised


def drawn() -> dict[str, str]:
    """Each class that the module's docstring draws, with its parent."""
    parents = {0: "MultiTalkError"}
    tree: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ((?:\|   |    )*)[|`]-- (\w+)", line)
        if found:
            depth = len(found[1]) // 4 + 1
            tree[found[2]] = parents[depth - 1]
            parents[depth] = found[2]
    return tree


def test_the_tree_in_the_docstring_is_the_tree():
    assert drawn() == {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES}


def test_each_code_belongs_to_one_class():
    codes = [kind.code for kind in ANSWERED]
    assert len(set(codes)) == len(codes)


def test_docs_give_every_code_with_its_status_and_retry():
    rows = re.findall(
        r"^\| `(\w+)` \| (\d{3}) \| (yes|no) \|", API.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [
        (kind.code, str(kind.http_status), "yes" if kind.retryable else "no") for kind in ANSWERED
    ]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_callers_errors_are_4xx_and_never_retried(kind):
    if issubclass(kind, WorkerError):
        assert 500 <= kind.http_status < 600
    else:
        assert 400 <= kind.http_status < 500
        assert not kind.retryable


def test_a_message_begins_with_its_field():
    error = InvalidRequest("field_missing", field="audio_paths.p.text")
    assert str(error) == "audio_paths.p.text: missing; it must be given here"
    assert error.text("ko") == "audio_paths.p.text: 빠졌습니다. 꼭 필요합니다."
    assert error.message() == "missing; it must be given here"


def test_a_request_s_problems_are_said_one_a_line():
    others = (InvalidRequest("text_blank", field="b"), InvalidRequest("field_missing", field="c"))
    error = InvalidRequest("field_missing", field="a", others=others)
    assert [line[:2] for line in str(error).split("\n")] == ["a:", "b:", "c:"]
    assert len(error.text("ko").split("\n")) == 3


def test_where_it_happened_is_where_it_happened_first():
    error = InvalidRequest("field_missing", field="a")
    error.set_context("load", "inner")
    error.set_context("render", "outer")
    assert (error.stage, error.job_id) == ("load", "inner")


def test_cancelled_needs_no_words():
    assert str(Cancelled()) == "the job was cancelled"
