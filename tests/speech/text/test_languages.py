"""Languages: by what name they are asked for, and which one a text is in."""

import pytest

pytest.importorskip("espeakng_loader", reason="the extra `speech` is needed")

from everyday import LATIN, OTHER_LETTERS

from multitalk.errors import InvalidRequest
from multitalk.speech.espeak import list_languages
from multitalk.speech.text import language_identification
from multitalk.speech.text.front_end import host_language, read_text
from multitalk.speech.text.languages import LANGUAGE_NAMES, language_code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ko", "ko"), ("KR", "ko"), ("korean", "ko"), ("Korean", "ko"), ("한국어", "ko"),
        ("ko-KR", "ko"), ("jp", "ja"), ("JP", "ja"), ("일본어", "ja"), ("日本語", "ja"),
        ("cn", "cmn"), ("zh-Hant-TW", "cmn"), ("Chinese", "cmn"), ("zh-HK", "yue"),
        ("us", "en-us"), ("English", "en-us"), ("en_GB", "en-gb"), ("british english", "en-gb"),
        ("pt-BR", "pt-br"), ("br", "pt-br"), ("ua", "uk"), ("uk", "uk"), ("norwegian", "nb"),
        ("Français", "fr-fr"), ("  deutsch ", "de"), ("ESPAÑOL", "es"),
    ],
)  # fmt: skip
def test_a_language_has_many_names(name: str, code: str) -> None:
    assert language_code(name) == code


def test_every_name_leads_to_a_voice() -> None:
    assert set(LANGUAGE_NAMES) <= set(list_languages())
    for code, names in LANGUAGE_NAMES.items():
        assert {language_code(name) for name in names} == {code}


@pytest.mark.parametrize("name", ["klingonese", "xx", "", "한글어"])
def test_a_name_that_is_no_language_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        language_code(name)
    assert caught.value.field == "language"


SENTENCES = [
    (code, sentence) for table in (LATIN, OTHER_LETTERS) for code in table
    for sentence in table[code]
]  # fmt: skip


@pytest.mark.parametrize(("code", "sentence"), SENTENCES)
def test_everyday_sentences_tell_their_language(code: str, sentence: str) -> None:
    assert host_language(sentence) == ({"en": "en-us"}.get(code, code), True)


@pytest.mark.parametrize(
    "text",
    ["Kokoro bungaku wo yomu", "Magandang gabi sa inyo", "Ọjọ́ ń gorí ọjọ́, ìgbà ń yí lu ìgbà"],
)
def test_what_may_not_be_english_is_said(text: str) -> None:
    language, certain = host_language(text)
    assert language != "en-us" or not certain
    if language == "en-us":
        (notice,) = read_text(text).notices
        assert notice.key == "language_guessed"


def test_without_the_statistics_everyday_words_tell_or_english_is_doubted(monkeypatch) -> None:
    monkeypatch.setattr(language_identification, "find_spec", lambda name: None)
    assert host_language("Merci beaucoup.") == ("fr-fr", True)
    assert host_language("Good morning to you.") == ("en-us", True)
    assert host_language("Kočka spala vedle psa") == ("en-us", False)


def test_a_language_that_is_given_is_not_doubted() -> None:
    assert read_text("Kokoro bungaku wo yomu", "en").notices == ()
    assert read_text("Bonjour à tous", "en").language == "en-us"
