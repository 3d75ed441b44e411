"""A stretch of plain text in one language, in the words and letters that its voice reads."""

import re

from multitalk.speech.japanese import to_kana
from multitalk.speech.korean import read_aloud

# "to" between two numbers, by language.
_TO = {
    "en-us": "to", "en-gb": "to", "fr-fr": "à", "de": "bis", "es": "a", "es-419": "a", "it": "a",
    "pt": "a", "pt-br": "a", "nl": "tot", "sv": "till", "da": "til", "nb": "til", "pl": "do",
    "cs": "až", "ru": "до", "uk": "до", "tr": "ila", "vi": "đến", "id": "sampai", "cmn": "到",
    "yue": "到",
}  # fmt: skip
_RANGE = re.compile(r"(?<=\d)(\s?[^\W\d_]?|%)\s?~\s?(?=\d)")
# Powers and fractions where the voice of the language reads but the digits of them.
_SIGNS = {
    "en": (("²", " squared"), ("³", " cubed"), ("°C", " degrees Celsius"),
           ("°F", " degrees Fahrenheit")),
}  # fmt: skip


def spoken_form(text: str, language: str) -> str:
    """What to give to the voice of a language, so that it says what the text means.

    Args:
        text: Plain text of one line.
        language: The synthesizer's code.

    Raises:
        EngineUnavailable: Reading it needs a package that is not installed.
    """
    if language == "ko":
        return read_aloud(text)
    if language == "ja":
        return to_kana(text)
    text = _RANGE.sub(rf"\1 {_TO[language]} " if language in _TO else r"\1 - ", text)
    for sign, words in _SIGNS.get(language.split("-", maxsplit=1)[0], ()):
        text = text.replace(sign, words)
    return text.replace("~", " ")
