"""Texts are cut where their letters are another language's."""

import pytest

pytest.importorskip("espeakng_loader", reason="the extra `speech` is needed")

from multitalk.errors import InvalidRequest
from multitalk.speech.espeak import inventory, run_espeak
from multitalk.speech.text.front_end import read_text
from multitalk.speech.text.plain_text import SENTENCE_PAUSE
from multitalk.speech.text.scripts import LANGUAGES_OF_SCRIPT, READS_LATIN, split_by_language


def languages_in(text: str, host: str) -> list[tuple[str, str]]:
    return [(run.text.strip(), run.language) for run in split_by_language(text, host)]


@pytest.mark.parametrize(
    ("text", "host", "runs"),
    [
        ("LG전자 CEO 3명", "ko", [("LG전자 CEO 3명", "ko")]),
        ("Say 안녕 to 3", "en-us", [("Say", "en-us"), ("안녕", "ko"), ("to 3", "en-us")]),
        ("He said привет.", "en-us", [("He said", "en-us"), ("привет.", "ru")]),
        ("Das heißt 你好!", "de", [("Das heißt", "de"), ("你好!", "cmn")]),
        ("これは Python です", "ja", [("これは", "ja"), ("Python", "en-us"), ("です", "ja")]),
        ("π is 3.14", "en-us", [("π is 3.14", "en-us")]),
        ("안녕 1 친구", "en-us", [("안녕 1 친구", "ko")]),
        ("日本 and 中国", "en-us", [("日本", "cmn"), ("and", "en-us"), ("中国", "cmn")]),
        ("shalom שלום and ahlan مرحبا", "en-us",
         [("shalom", "en-us"), ("שלום", "he"), ("and ahlan", "en-us"), ("مرحبا", "ar")]),
        ("Он сказал hello 2 раза", "ru", [("Он сказал hello 2 раза", "ru")]),
    ],
)  # fmt: skip
def test_each_run_has_its_language(text: str, host: str, runs: list[tuple[str, str]]) -> None:
    assert languages_in(text, host) == runs
    assert "".join(run.text for run in split_by_language(text, host)) == text


def test_a_sentence_of_another_latin_language_has_its_voice() -> None:
    text = "안녕하세요. Je m'appelle Élise et j'habite à Paris. 반갑습니다."
    assert [language for _, language in languages_in(text, "ko")] == ["ko", "fr-fr", "ko"]


def test_pauses_at_seams_are_those_of_the_marks_there() -> None:
    pieces = read_text("안녕하세요. Привет мир").pieces
    assert [piece.pause_seconds for piece in pieces] == [SENTENCE_PAUSE, 0.0]
    inside = read_text("그는 привет 라고 말했다.").pieces
    assert [piece.pause_seconds for piece in inside] == [0.0, 0.0, 0.0]


def test_a_long_text_is_spoken_in_pieces() -> None:
    text = "This is a sentence of a long text. " * 300
    pieces = read_text(text).pieces
    assert max(len(piece.text) for piece in pieces) <= 1000
    assert " ".join(piece.text for piece in pieces) == text.strip()
    assert all(piece.text.endswith(".") for piece in pieces)


@pytest.mark.parametrize("text", ["ສະບາຍດີ", "សួស្តី", "བཀྲ་ཤིས"])
def test_letters_that_no_voice_reads_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no voice reads"):
        read_text(text)


def test_the_table_of_scripts_is_what_the_voices_do() -> None:
    """A voice reads its script, and those said to read Latin go over to English at it."""
    words = {
        "ARABIC": "سلام", "ARMENIAN": "բարեւ", "BENGALI": "নমস্কার", "CYRILLIC": "мама",
        "DEVANAGARI": "नमस्ते", "ETHIOPIC": "ሰላም", "GEORGIAN": "გამარჯობა", "GREEK": "καλημερα",
        "GUJARATI": "નમસ્તે", "GURMUKHI": "ਸਤਿ", "HAN": "今天", "HANGUL": "안녕", "HEBREW": "שלום",
        "KANA": "こんにちは", "KANNADA": "ನಮಸ್ಕಾರ", "MALAYALAM": "നമസ്കാരം", "ORIYA": "ନମସ୍କାର",
        "SINHALA": "ආයුබෝවන්", "TAMIL": "வணக்கம்", "TELUGU": "నమస్తే", "THAI": "สวัสดี",
    }  # fmt: skip
    asked = [(words[script], languages[0]) for script, languages in LANGUAGES_OF_SCRIPT.items()
             if script in words]  # fmt: skip
    asked += [("hello", language) for language in READS_LATIN.split()]
    names = inventory()["languages"]
    answer, _ = run_espeak(
        {
            "pieces": [
                {"text": word, "voice": names[language], "pitch": 50, "pitch_range": 50}
                for word, language in asked
            ],
            "words_per_minute": 400,
            "max_seconds": 600,
        },
        120,
    )
    for (word, language), spoken in zip(asked, answer["pieces"], strict=True):
        sounds = [ipa for _, ipa in spoken["phonemes"]]
        assert ("(en)" in sounds) == (word == "hello"), (word, language)
        assert sum(bool(ipa) for ipa in sounds) <= 5 * len(word), (word, language)
