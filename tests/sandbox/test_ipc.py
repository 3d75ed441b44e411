"""Errors and notices on their way out of a process that may be in a stranger's hands."""

import json

import pytest

from multitalk.errors import InvalidRequest, LimitExceeded, SpeechFailed
from multitalk.messages import Notice
from multitalk.serving.sandbox.ipc import (
    MalformedReply,
    error_from_json,
    error_to_json,
    notices_from_json,
    notices_to_json,
    seconds_from_json,
)


def test_an_error_comes_out_as_it_was_raised():
    other = InvalidRequest("expected_text", field="b", value="5")
    for error in (
        LimitExceeded("speech_too_long", field="audio_paths.a", limit=60.0),
        InvalidRequest("too_low", field="a", value="1", limit=2, others=(other,)),
        InvalidRequest("file_unreadable", field="a", reason=OSError(2, "gone")),
        SpeechFailed("speech_service_damaged"),
    ):
        again = error_from_json(json.loads(json.dumps(error_to_json(error))))
        assert (type(again), again.key, again.field) == (type(error), error.key, error.field)
        for locale in ("en", "ko"):
            assert again.text(locale) == error.text(locale)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "SystemExit"},
        {"kind": ["InvalidRequest"]},
        {"key": "no_such_sentence"},
        {"key": 5},
        {"field": {"a": 1}},
        {"parameters": {}},
        {"parameters": {"limit": "sixty"}},
        {"parameters": {"limit": 60.0, "locale": "en"}},
        {"parameters": {"limit": 60.0, "key": "x"}},
        {"others": "none"},
    ],
)
def test_what_is_no_error_of_ours_is_not_taken_for_one(change):
    told = error_to_json(LimitExceeded("speech_too_long", field="a", limit=60.0))
    with pytest.raises(MalformedReply):
        error_from_json({**told, **change})


def test_notices_and_lengths_are_checked_too():
    notice = Notice("language_guessed", {"text": "Salut"})
    assert notices_from_json(json.loads(json.dumps(notices_to_json([notice])))) == [notice]
    for told in ("x", [{"key": "language_guessed", "parameters": {}}], [5]):
        with pytest.raises(MalformedReply):
            notices_from_json(told)
    assert seconds_from_json(2) == 2.0
    assert seconds_from_json(None) is None
    for told in (-1.0, float("nan"), float("inf"), "2", [2]):
        with pytest.raises(MalformedReply):
            seconds_from_json(told)
