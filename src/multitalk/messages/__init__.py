"""Every sentence a caller may read, in each language that has a file here: `LOCALE.json`.

A file is one object from keys to sentences, one key per line; a new file makes its name a `Locale`.
A sentence names the value, the limit and the way out. Placeholders are `str.format` fields, the
same in all languages. A sentence must not carry a traceback, a local path, base64 or a signed
query: its parameters are chosen where it is used.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal


def read_texts(directory: Path) -> dict[Any, dict[str, str]]:
    """The sentences of each language in a directory: locale -> key -> sentence.

    Raises:
        ValueError: A language has other keys than English.
    """
    texts = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(directory.glob("*.json"))
    }
    for locale, of_locale in texts.items():
        if different := sorted(texts["en"].keys() ^ of_locale.keys()):
            raise ValueError(f"{locale}.json and en.json differ in keys: {', '.join(different)}")
    return texts


_TEXTS = read_texts(Path(__file__).parent)

if TYPE_CHECKING:
    Locale = Literal["en", "ko"]
else:
    Locale = Literal[tuple(_TEXTS)]

LOCALES: tuple[Locale, ...] = tuple(_TEXTS)
SENTENCES: dict[str, dict[Locale, str]] = {
    key: {locale: texts[key] for locale, texts in _TEXTS.items()} for key in _TEXTS["en"]
}


class Translated(str):
    """A parameter that is another word in some languages; as a string, the English one.

    Attributes:
        words: The others, by locale.
    """

    __slots__ = ("words",)
    words: Mapping[str, str]

    def __new__(cls, english: str, **words: str) -> "Translated":
        """The words of one thing; a language without one takes the English word."""
        word = super().__new__(cls, english)
        word.words = words
        return word


@dataclass(frozen=True)
class Notice:
    """Something the caller should know about a result that is a success all the same.

    Attributes:
        key: Name of the sentence in `messages.SENTENCES`.
        parameters: What fills its placeholders.
    """

    key: str
    parameters: Mapping[str, object]


def locale_named(name: object) -> Locale:
    """The locale of this name; English where there is none."""
    return next((locale for locale in LOCALES if locale == name), "en")


def sentence(key: str, locale: Locale = "en", **parameters: object) -> str:
    """The sentence named `key` in `locale`, its placeholders filled from `parameters`.

    It is one line, and shows whatever a caller's text in it would hide. A tuple for one
    placeholder is joined by commas.
    """
    parameters = {name: _filling(value, locale) for name, value in parameters.items()}
    return visible(SENTENCES[key][locale].format(**parameters))


def _filling(value: object, locale: Locale) -> object:
    """A placeholder's text, or the value that is formatted as it is."""
    if isinstance(value, Translated):
        return value.words.get(locale, value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def visible(text: str) -> str:
    """A text with the codes of all characters that show nothing or turn the direction of reading.

    What a caller wrote could otherwise end a line of the log and forge the next one, or make a
    sentence read as another one (U+202E).
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
