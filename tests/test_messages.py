"""Sentences: both languages say the same things."""

import re
import string
from pathlib import Path

import pytest

from multitalk.messages import SENTENCES, sentence

SOURCE = Path(__file__).parent.parent / "src" / "multitalk"


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", SENTENCES)
def test_both_languages_use_the_same_placeholders(key):
    said = SENTENCES[key]
    assert set(said) == {"en", "ko"}
    if key != "missing_required":  # the Korean one is the seed's, word for word
        assert placeholders(said["en"]) == placeholders(said["ko"])
    assert all(name.isidentifier() for name in placeholders(said["en"]))


@pytest.mark.parametrize("key", SENTENCES)
def test_the_korean_sentence_is_korean(key):
    if key != "pydantic_said":  # pydantic's own words
        assert re.search("[가-힣]", SENTENCES[key]["ko"])
    assert not re.search("[가-힣]", SENTENCES[key]["en"])


def test_placeholders_are_filled():
    assert "60 s" in sentence("speech_too_long", limit=60.0)
    assert "60초" in sentence("speech_too_long", "ko", limit=60.0)


def test_a_sentence_that_lacks_a_parameter_is_a_bug():
    with pytest.raises(KeyError):
        sentence("speech_too_long")


def test_every_sentence_is_used():
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in SOURCE.rglob("*.py")
        if path.name != "messages.py"
    )
    made = {  # of a kind and what came in its place, in inputs/intake.py
        f"{what}_{kind}"
        for kind in ("for_image", "for_visual", "for_speech", "format_unknown")
        for what in ("web_page", "audio", "video", "image", "visual", "speech")
    }
    assert [key for key in SENTENCES if f'"{key}"' not in source and key not in made] == []
