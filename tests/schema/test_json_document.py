"""How large a request may be: refused before anything is built of it, at every door alike."""

import json
import tracemalloc

import pytest

from multitalk.errors import InvalidRequest
from multitalk.schema import parse_request, read_json
from multitalk.schema.json_document import (
    MAX_DEPTH,
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    MAX_NUMBER_CHARACTERS,
    MAX_VALUES,
)
from multitalk.schema.validation import MAX_PROBLEMS
from multitalk.settings import Settings


def said_of(text: str | bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read_json(text)
    caught.value.text("ko").encode()
    return caught.value


def said_of_input(given: object) -> InvalidRequest:
    """Of an input that a worker has been given, parsed."""
    with pytest.raises(InvalidRequest) as caught:
        parse_request(given, settings=Settings())
    caught.value.text("ko").encode()
    return caught.value


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"[" + b"{}," * MAX_VALUES + b"1]", "too_many_values"),
        (b"[" + b"[]," * MAX_VALUES + b"1]", "too_many_values"),
        (b"[" + b'"",' * MAX_VALUES + b"1]", "too_many_values"),
        (b"[" + b"1," * MAX_VALUES + b"1]", "too_many_values"),
        (b'{"a":' + b"[" * 5_000_000, "too_many_values"),
        (b"[" + b"]" * 5_000_000, "too_many_values"),
        (nested(MAX_DEPTH + 1), "nested_too_deeply"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "nested_too_deeply"),
        (json.dumps({f"a{n}": n for n in range(MAX_NAMES + 1)}), "too_many_names"),
        (json.dumps({"input": {f"a{n}": n for n in range(MAX_NAMES + 1)}}), "too_many_names"),
        (json.dumps({"a" * (MAX_NAME_CHARACTERS + 1): 1}), "name_too_long"),
        ("1" * (MAX_NUMBER_CHARACTERS + 1), "number_too_long"),
        ("[0." + "1" * MAX_NUMBER_CHARACTERS + "]", "number_too_long"),
        ('{"input": 1e999}', "json_broken"),
        ('{"input": -1e999}', "json_broken"),
        ('{"input": NaN}', "json_broken"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_a_sentence(text, key):
    assert said_of(text).key == key


def test_what_is_just_within_bounds_is_read():
    assert len(read_json("[" + "1," * (MAX_VALUES - 2) + "1]")) == MAX_VALUES - 1
    assert len(read_json("[" + '{"a":1},' * (MAX_VALUES // 2 - 1) + "1]")) == MAX_VALUES // 2
    read_json(nested(MAX_DEPTH))
    read_json(json.dumps({"input": {f"a{n}": n for n in range(MAX_NAMES)}}))
    assert read_json("1" * MAX_NUMBER_CHARACTERS) == int("1" * MAX_NUMBER_CHARACTERS)
    assert read_json(repr(1.7976931348623157e308)) == 1.7976931348623157e308


@pytest.mark.parametrize("text", ['[{,:}]"\\', '\\"[', "\\\\", '"' * 9 + "[" * 99, "\\u005b" * 99])
def test_what_stands_in_a_text_counts_for_nothing(text):
    text *= 30_000
    assert read_json(json.dumps({text[:9]: text})) == {text[:9]: text}


def test_millions_of_values_are_refused_without_being_built():
    text = b"[" + b"{}," * 1_000_000 + b"1]"  # as objects 64 MB
    tracemalloc.start()
    said_of(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"input": {"prompt": "\\ud800"}}', "prompt"),
        ('{"input": {"audio_paths": {"a": [{"text": "x\\udfff"}]}}}', "audio_paths.a.text"),
        ('{"jobs": [{"input": {}}, {"input": {"prompt": "\\ud800"}}]}', "jobs[1].prompt"),
        ('{"webhook": "http://\\ud800.example"}', "webhook"),
        ('"\\udc00\\ud800"', None),
        (b'{"webhook": "\xed\xa0\x80"}', "webhook"),  # the same as bytes, which is no UTF-8
        ('{"\\ud800": 1}', '"\\ud800"'),
        ('{"input": {"\\ud800": 1}}', '"\\ud800"'),
        ('{"policy": {"\\ud800": 1}}', 'policy."\\ud800"'),
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(text, field):
    error = said_of(text)
    assert (error.key, error.field) == ("text_broken", field)


def test_a_whole_surrogate_pair_is_a_letter():
    assert read_json('["\\ud83d\\ude00"]') == ["😀"]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({f"prompx{n}": 1 for n in range(100_000)}, "too_many_values"),
        ({f"prompx{n}": 1 for n in range(1000)}, "too_many_names"),
        ({"audio_paths": [{}] * MAX_VALUES}, "too_many_values"),
        ({"x": json.loads(nested(900))}, "nested_too_deeply"),
        ({"a" * 10_000_000: 1}, "name_too_long"),
        ({"seed": 10**4000}, "number_too_long"),
        ({"\ud800": 1}, "text_broken"),
        ({"audio_paths": {"\ud800": "/x"}}, "text_broken"),
    ],
)
def test_a_worker_refuses_the_same_of_a_job_that_it_is_given(given, key):
    assert said_of_input(given).key == key


def test_of_many_problems_only_so_many_become_sentences(monkeypatch):
    made = []
    monkeypatch.setattr(
        "multitalk.schema.validation.get_close_matches", lambda *_, **__: made.append(1) or []
    )
    texts = [{"text": "x", **{f"a{n}": 1 for n in range(60)}} for _ in range(32)]
    error = said_of_input({"prompt": "x", "image_path": "x", "audio_paths": {"a": texts}})
    assert len(made) == MAX_PROBLEMS
    assert error.problems[-1].parameters["count"] == 32 * 60 - MAX_PROBLEMS


@pytest.mark.parametrize("letter", ["\u202e", "\u2066", "\n", "\x1b", "\x7f", "\u200b"])
def test_no_sentence_shows_a_caller_s_text_otherwise_than_it_is(letter):
    for given in (
        {"audio_paths": {f"a{letter}b": "x"}},
        {f"a{letter}b": 1},
        {"mode": f"a{letter}b"},
        {"audio_paths": {"a": {"text": "x", "voice": "tts:" + letter * 3}}},
    ):
        error = said_of_input({"prompt": "x", "image_path": "x", **given})
        for text in (*error.text("en").split("\n"), *error.text("ko").split("\n")):
            assert text.isprintable()
