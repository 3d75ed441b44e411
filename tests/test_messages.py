"""Sentences: all languages say the same things."""

import importlib.util
import json
import re
import shutil
import string
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from multitalk.messages import LOCALES, SENTENCES, Locale, Translated, locale_named, sentence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings along

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "multitalk"
MESSAGES = SOURCE / "messages"


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", SENTENCES)
def test_all_languages_use_the_same_placeholders(key):
    said = SENTENCES[key]
    assert tuple(said) == LOCALES
    for locale in LOCALES:
        if (key, locale) != ("missing_required", "ko"):  # the seed's, word for word
            assert placeholders(said["en"]) == placeholders(said[locale])
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
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    made = {  # of a kind and what came in its place, in inputs/source_file.py
        f"{what}_{kind}"
        for kind in ("for_image", "for_visual", "for_speech", "for_media", "format_unknown")
        for what in ("web_page", "audio", "video", "image", "visual", "speech", "media")
    }
    assert [key for key in SENTENCES if f'"{key}"' not in source and key not in made] == []


def loaded_from(directory: Path):
    """The module as if the package lay there."""
    spec = importlib.util.spec_from_file_location("messages_elsewhere", directory / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


@pytest.fixture
def with_another(tmp_path):
    """A copy of the package with one more language, whose sentences are the English ones marked."""
    directory = tmp_path / "messages"
    shutil.copytree(MESSAGES, directory)
    texts = json.loads((directory / "en.json").read_text(encoding="utf-8"))
    marked = {key: f"QAA {text}" for key, text in texts.items()}
    (directory / "qaa.json").write_text(json.dumps(marked), encoding="utf-8")
    return directory


def test_another_language_is_a_file(with_another):
    messages = loaded_from(with_another)
    assert tuple(sorted((*LOCALES, "qaa"))) == messages.LOCALES
    assert messages.sentence("cancelled", "qaa") == "QAA the job was cancelled"
    assert messages.locale_named("qaa") == "qaa"
    assert TypeAdapter(messages.Locale).validate_python("qaa") == "qaa"


def test_a_locale_without_a_file_is_refused():
    with pytest.raises(ValidationError):
        TypeAdapter(Locale).validate_python("qaa")


def test_a_language_with_other_keys_than_english_is_refused(with_another):
    file = with_another / "qaa.json"
    texts = json.loads(file.read_text(encoding="utf-8"))
    texts["canceled"] = texts.pop("cancelled")
    file.write_text(json.dumps(texts), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^qaa\.json and .* differ in keys: canceled, cancelled$"):
        loaded_from(with_another)


def test_type_checkers_know_the_same_locales():
    source = (MESSAGES / "__init__.py").read_text(encoding="utf-8")
    (names,) = re.findall(r"^    Locale = Literal\[(\".*)\]$", source, re.MULTILINE)
    assert tuple(re.findall(r"\w+", names)) == LOCALES == get_args(Locale)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_file_has_one_key_a_line_as_english_orders_them(locale):
    text = (MESSAGES / f"{locale}.json").read_text(encoding="utf-8")
    texts = json.loads(text)
    assert text == json.dumps(texts, ensure_ascii=False, indent=2) + "\n"
    assert list(texts) == list(SENTENCES)


@pytest.mark.parametrize(
    ("name", "locale"), [("ko", "ko"), ("KO", "en"), ("qaa", "en"), (None, "en"), (["ko"], "en")]
)
def test_what_names_no_locale_is_english(name, locale):
    assert locale_named(name) == locale


def test_a_parameter_is_translated_where_there_is_a_word():
    welsh = Translated("Welsh", ko="웨일스어")
    assert sentence("letters_named", "ko", language=welsh, letters="A").startswith("웨일스어")
    assert "Welsh" in sentence("letters_named", language=welsh, letters="A")
    assert "Welsh" in sentence("letters_named", "ko", language=Translated("Welsh"), letters="A")


def test_every_file_beside_the_code_is_in_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["multitalk"]
    beside = {
        path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert MESSAGES / "ko.json" in beside
    assert beside - {path for pattern in patterns for path in SOURCE.glob(pattern)} == set()
