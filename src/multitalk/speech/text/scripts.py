"""A text cut into runs, each in one language, by the scripts of its letters.

A letter's script is the first word of its Unicode name. Which scripts a voice of espeak-ng reads
was measured: a word of each script, spoken by each voice, is either read or spelt in English.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from multitalk.speech.text.language_identification import (
    everyday_word_counts,
    identify_latin,
    latin_words,
)
from multitalk.speech.text.languages import language_code

# Script -> the synthesizer's languages that are written in it and whose voices read it. The first
# is taken where the text itself does not tell.
LANGUAGES_OF_SCRIPT: dict[str, tuple[str, ...]] = {
    "ARABIC": ("ar", "fa", "ur", "sd"),
    "ARMENIAN": ("hy", "hyw"),
    "BENGALI": ("bn", "as", "bpy"),
    "CHEROKEE": ("chr-US-Qaaa-x-west",),
    "CYRILLIC": (
        "ru", "uk", "be", "bg", "mk", "sr", "kk", "ky", "tt", "ba", "cv", "nog", "uz", "ru-lv",
        "ru-cl",
    ),
    "DEVANAGARI": ("hi", "mr", "ne", "kok"),
    "ETHIOPIC": ("am", "ti"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el", "grc"),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "HAN": ("cmn", "yue", "ja", "cmn-latn-pinyin"),
    "HANGUL": ("ko",),
    "HEBREW": ("he",),
    "KANA": ("ja",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "MYANMAR": ("my",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
}  # fmt: skip
_NAMED_OTHERWISE = {
    "CJK": "HAN",
    "HIRAGANA": "KANA",
    "KATAKANA": "KANA",
    "KATAKANA-HIRAGANA": "KANA",
}
# Letters that tell the languages of a script apart (Unicode CLDR, main exemplar characters). The
# first that is found decides.
_TELLING_LETTERS: dict[str, tuple[tuple[str, str], ...]] = {
    "ARABIC": (("ٹڈڑںھہے", "ur"), ("ڄڃڇڦڳڻ", "sd"), ("پچژگکی", "fa")),
    "BENGALI": (("ৰৱ", "as"),),
    "CYRILLIC": (
        ("ў", "be"), ("єїґ", "uk"), ("ѓќѕ", "mk"), ("ђћ", "sr"), ("ҡҙҫ", "ba"), ("ӑӗҫӳ", "cv"),
        ("ұ", "kk"), ("җ", "tt"), ("әғқң", "kk"), ("өүң", "ky"), ("љњџј", "sr"), ("ыэё", "ru"),
        ("і", "uk"), ("ъ", "bg"),
    ),
    "DEVANAGARI": (("ळ", "mr"),),
}  # fmt: skip
# Hosts whose voice goes over to English by itself at a Latin word, and back after it.
READS_LATIN = (
    "am ar as be bg bn bpy cmn cmn-latn-pinyin el fa gu he hi hy ka kk kn ko ml mr ne or pa ru "
    "ru-lv sd si ta te th tt uk ur"
)
# Languages of other letters that are also written in Latin ones, which their voices read.
_TWO_SCRIPTS = frozenset({"sr", "uz", "cmn-latn-pinyin"})
_FOREIGN_WORDS = 3  # so many Latin words beside other letters are looked at for their language
_LATIN_PHRASE = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ][A-Za-zÀ-ɏḀ-ỿ'’,;\s-]*")


@dataclass(frozen=True)
class Run:
    """A stretch of text to be spoken by the voice of one language (the synthesizer's code)."""

    text: str
    language: str


@cache
def script_of(character: str) -> str:
    """LATIN, HANGUL, KANA, HAN, CYRILLIC ...; "" for characters of no script."""
    kind = unicodedata.category(character)
    if kind[0] not in "LM" or character in "ーｰ々〆ʼ":
        return {"ー": "KANA", "ｰ": "KANA", "々": "HAN", "〆": "HAN"}.get(character, "")
    name = unicodedata.name(character, "").split(" ")[0]
    return (
        "" if name in {"COMBINING", "MODIFIER", "VARIATION"} else _NAMED_OTHERWISE.get(name, name)
    )


def scripts_in(text: str) -> Counter[str]:
    """The number of letters of each script in a text. Greek letters that stand alone do not count.

    They are signs, as the pi of a formula.
    """
    counts = Counter(script for script in map(script_of, text) if script)
    if "GREEK" in counts and not re.search(r"[Ͱ-Ͽἀ-῾]{2}", text):
        del counts["GREEK"]
    return counts


def unread_script(text: str) -> str | None:
    """The script of a text whose letters no voice reads, none of them; None if any can be read."""
    counts = Counter(script for script in map(script_of, text) if script)
    if not counts or any(script in {"LATIN", *LANGUAGES_OF_SCRIPT} for script in counts):
        return None
    return counts.most_common(1)[0][0].capitalize()


def identify_by_script(text: str) -> str | None:
    """The language of a text as its scripts tell it; None where all that is known is Latin.

    A text with any Hangul is Korean, with any kana Japanese; of other scripts beside Latin the one
    with most letters decides.
    """
    counts = scripts_in(text)
    if counts["HANGUL"] and counts["HANGUL"] >= counts["KANA"]:
        return "ko"
    if counts["KANA"]:
        return "ja"
    others = [(count, script) for script, count in counts.items() if script in LANGUAGES_OF_SCRIPT]
    if not others:
        return None
    return language_in_script(max(others)[1], text)


def language_in_script(script: str, text: str) -> str:
    """The language of a text among those of its script in `LANGUAGES_OF_SCRIPT`."""
    languages = LANGUAGES_OF_SCRIPT[script]
    words = re.split(r"[\s\d!-/:-@\[-`{-~«»„“”।॥،؟…—–]+", text.casefold())
    scores = everyday_word_counts(words, languages)
    for letters, language in _TELLING_LETTERS.get(script, ()):
        if any(letter in letters for letter in text.casefold()):
            scores[language] += 2
            break
    return max(languages, key=lambda language: scores[language])


def split_by_language(text: str, host: str) -> list[Run]:
    """Cut a text into runs: most in its host language, others by voices that read their letters.

    Latin words stay in the host's run where its voice reads them. Digits are the host's, unless
    they are within a run of another language; punctuation goes with the text before it.

    Args:
        text: Plain text of one paragraph.
        host: The synthesizer's code of the language that the text as a whole is in.

    Returns:
        Runs that joined are the text. Each has something to speak, unless the text has nothing.
    """
    languages = _settled([*map(_Labeller(text, host).language_at, range(len(text)))], text, host)
    runs: list[Run] = []
    for language, letters in groupby(zip(languages, text, strict=True), key=lambda pair: pair[0]):
        part = "".join(letter for _, letter in letters)
        if runs and not any(letter.isalnum() for letter in part):
            runs[-1] = Run(runs[-1].text + part, runs[-1].language)
        elif runs and runs[-1].language == language:
            runs[-1] = Run(runs[-1].text + part, language)
        else:
            runs.append(Run(part, language))
    return runs


class _Labeller:
    """Gives each letter of a text the language that it is spoken in."""

    def __init__(self, text: str, host: str) -> None:
        self._text = text
        self._host = host
        self._counts = scripts_in(text)
        self._read = {
            script for script, languages in LANGUAGES_OF_SCRIPT.items() if host in languages
        }
        if not self._read or host in _TWO_SCRIPTS:
            self._read.add("LATIN")
        self._of_script: dict[str, str] = {}
        self._phrases = {}
        if host in READS_LATIN.split():
            self._read.add("LATIN")
            for phrase in _LATIN_PHRASE.finditer(text):
                language = _language_of_phrase(phrase[0])
                if language is not None:
                    self._phrases.update(dict.fromkeys(range(*phrase.span()), language))

    def language_at(self, index: int) -> str | None:
        """The language of a letter; None of digits, punctuation and the like."""
        script = script_of(self._text[index])
        if not script or (script == "GREEK" and script not in self._counts):
            return None
        if script == "LATIN" and index in self._phrases:
            return self._phrases[index]
        if script in self._read or script not in {"LATIN", *LANGUAGES_OF_SCRIPT}:
            return self._host
        if script not in self._of_script:
            letters = "".join(
                letter if script_of(letter) in {script, ""} else " " for letter in self._text
            )
            self._of_script[script] = self._foreign(script, letters)
        return self._of_script[script]

    def _foreign(self, script: str, letters: str) -> str:
        if script == "LATIN":
            return "en-us"
        if script == "HAN" and self._counts["KANA"]:
            return "ja"
        return language_in_script(script, letters)


def _language_of_phrase(phrase: str) -> str | None:
    """The language of Latin words beside other letters, if it is plainly not English."""
    if len(latin_words(phrase)) < _FOREIGN_WORDS:
        return None
    language, _ = identify_latin(phrase)
    return None if language == "en" else language_code(language)


def _settled(languages: list[str | None], text: str, host: str) -> list[str]:
    """Give characters of no script the language of their neighbours."""
    runs = [(language, len(list(run))) for language, run in groupby(languages)]
    settled: list[str] = []
    neighbours = [None, *(language for language, _ in runs), None]
    for index, (language, length) in enumerate(runs):
        before, after = neighbours[index], neighbours[index + 2]
        part = text[len(settled) : len(settled) + length]
        has_digits = any(map(str.isalnum, part))
        settled += [language or _between(before, after, host, has_digits=has_digits)] * length
    return settled


def _between(before: str | None, after: str | None, host: str, *, has_digits: bool) -> str:
    """The language of characters of no script: digits are the host's, unless within another."""
    if before == after:
        return before or host
    return host if has_digits else before or after or host
