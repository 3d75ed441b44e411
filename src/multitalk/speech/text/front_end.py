"""The front end: from a text to pieces, each for one voice, and the pauses between them.

Signs and ranges become words in languages whose voices do not read them. Which voices do was
measured: each sign after a number, spoken by each voice. The words are the names of units and signs
in Unicode's CLDR. Korean and Japanese have modules of their own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from multitalk.errors import InvalidRequest
from multitalk.messages import Notice
from multitalk.speech.espeak import split_for_espeak
from multitalk.speech.text.japanese import to_kana
from multitalk.speech.text.korean_text import remove_redundant_hanja, spoken_korean
from multitalk.speech.text.language_identification import identify_latin
from multitalk.speech.text.languages import language_code
from multitalk.speech.text.plain_text import Line, pause_after, plain_lines
from multitalk.speech.text.scripts import Run, identify_by_script, split_by_language, unread_script

# "to" between two numbers.
_TO = {
    "en": "to", "fr": "à", "de": "bis", "es": "a", "it": "a", "pt": "a", "nl": "tot", "sv": "till",
    "da": "til", "nb": "til", "pl": "do", "cs": "až", "ru": "до", "uk": "до", "tr": "ila",
    "vi": "đến", "id": "sampai", "cmn": "到", "yue": "到", "th": "ถึง", "hi": "से", "ar": "إلى",
}  # fmt: skip
_RANGE = re.compile(r"(?<=\d)(\s?[^\W\d_]{0,2}|%)(?:\s?~\s?|–)(?=\d)")
# Two whole numbers with a hyphen are a range where the second is of as many digits.
_YEARS = re.compile(r"(?<![\d.,/:-])(\d{1,4})-(\d{1,4})(?![\d.,/:-]*\d)(?!-)")
_WORDS = {
    "en": {"°C": " degrees Celsius", "°F": " degrees Fahrenheit", "²": " squared", "³": " cubed",
           "№": " number ", "#": " number "},
    "fr": {"°C": " degrés Celsius", "=": " égale ", "#": " dièse "},
    "de": {"°C": " Grad Celsius"},
    "es": {"°C": " grados Celsius"},
    "it": {"°C": " gradi Celsius"},
    "pt": {"°C": " graus Celsius"},
    "nl": {"°C": " graden Celsius"},
    "sv": {"°C": " grader Celsius", "°": " grader ", "=": " är lika med "},
    "da": {"°C": " grader celsius", "°": " grader "},
    "nb": {"°C": " grader celsius", "°": " grader ", "€": " euro "},
    "fi": {"°C": " celsiusastetta", "°": " astetta "},
    "pl": {"€": " euro "},
    "ru": {"°C": " градусов Цельсия", "°": " градусов ", "€": " евро ", "№": " номер "},
    "uk": {"°C": " градусів Цельсія", "°": " градусів ", "€": " євро ", "№": " номер "},
    "vi": {"°C": " độ C", "°": " độ ", "€": " euro "},
    "id": {"°C": " derajat Celsius", "°": " derajat ", "€": " euro "},
    "hi": {"°C": " डिग्री सेल्सियस", "°": " डिग्री ", "€": " यूरो ", "&": " और ", "½": " आधा "},
    "ar": {"%": " بالمئة ", "٪": " بالمئة ", "°C": " درجة مئوية ", "°": " درجة ", "&": " و ",
           "+": " زائد ", "=": " يساوي "},
    "fa": {"°": " درجه ", "€": " یورو ", "&": " و ", "+": " به علاوه "},
    "he": {"°": " מעלות ", "€": " אירו ", "&": " ו ", "+": " ועוד ", "=": " שווה "},
    "th": {"%": " เปอร์เซ็นต์ ", "°C": " องศาเซลเซียส ", "°": " องศา ", "$": " ดอลลาร์ ",
           "€": " ยูโร ", "&": " และ ", "+": " บวก ", "=": " เท่ากับ "},
    "cmn": {"°C": "摄氏度", "°F": "华氏度", "°": "度", "$": "美元", "€": "欧元", "£": "英镑",
            "¥": "元", "&": "和", "+": "加", "=": "等于", "×": "乘", "÷": "除以", "№": "第"},
}  # fmt: skip
_WORDS["yue"] = _WORDS["cmn"]
_CHINESE_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_CHINESE_PERCENT = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s?%")
_CHINESE_MONEY = re.compile(r"([$€£¥])\s?(\d[\d,]*(?:\.\d+)?)")
# Years and telephone numbers go digit by digit.
_CHINESE_DIGIT_BY_DIGIT = re.compile(
    r"(?<!\d)\d{4}(?=年)|(?<![\d-])0\d{2,3}-\d{7,8}(?![\d-])|(?<!\d)1[3-9]\d-?\d{4}-?\d{4}(?!\d)"
)


@dataclass(frozen=True)
class Piece:
    """A stretch of text that one voice speaks at once.

    Attributes:
        text: Plain: no markup, no control characters.
        language: The synthesizer's code.
        pause_seconds: Silence after it; 0 where the sentence goes on in another language.
    """

    text: str
    language: str
    pause_seconds: float


@dataclass(frozen=True)
class Reading:
    """The spoken form of a text.

    Attributes:
        language: The synthesizer's code of the text as a whole.
        pieces: In order; empty if there is nothing to speak.
        notices: What may be wrong with it.
    """

    language: str
    pieces: tuple[Piece, ...]
    notices: tuple[Notice, ...]


def read_text(text: str, language: str | None = None) -> Reading:
    """The spoken form of a text as people write it.

    Args:
        text: As it was typed or pasted; may hold Markdown, emoji and line ends.
        language: As `language_code` takes it; None: as the text tells.

    Raises:
        InvalidRequest: No voice speaks the language or reads the letters.
        EngineUnavailable: Reading it needs a package that is not installed.
    """
    lines = plain_lines(text)
    whole = " ".join(line.text for line in lines)
    if script := unread_script(whole):
        raise InvalidRequest("script_unread", field="text", script=script)
    host, certain = (language_code(language), True) if language else host_language(whole)
    notices = [] if certain else [Notice("language_guessed", {"text": _beginning(text)})]
    runs = [_runs(line, host) for line in lines]
    spoken = iter(spoken_forms([run for of_line in runs for run in of_line]))
    pieces = [
        piece
        for line, of_line in zip(lines, runs, strict=True)
        for piece in _pieces(line, [(run.language, next(spoken)) for run in of_line])
    ]
    if host == "ko":
        notices += _hanja_notices(pieces)
    return Reading(host, tuple(pieces), tuple(notices))


def _runs(line: Line, host: str) -> list[Run]:
    return split_by_language(remove_redundant_hanja(line.text) if host == "ko" else line.text, host)


def _pieces(line: Line, spoken: Sequence[tuple[str, str]]) -> list[Piece]:
    """A line as pieces, the last of which has the line's pause after it.

    Args:
        line: The line.
        spoken: The language of each of its runs, and what to give to its voice.
    """
    pieces: list[Piece] = []
    for language, spoken_text in spoken:
        parts = split_for_espeak(spoken_text)
        pieces += [Piece(part, language, pause_after(part)) for part in parts]
        if pieces[-1].pause_seconds == 0.0:  # the voice stays up, as the sentence goes on
            pieces[-1] = Piece(pieces[-1].text + ",", language, 0.0)
    last = pieces.pop()
    return [*pieces, Piece(last.text.rstrip(","), last.language, line.pause_seconds)]


def _hanja_notices(pieces: list[Piece]) -> list[Notice]:
    """Name the Hanja in a Korean text that a Chinese voice reads, unless they are a sentence."""
    words = [piece.text.strip(" ,.") for piece in pieces if piece.language == "cmn"]
    return [Notice("hanja_in_chinese", {"letters": ", ".join(words[:3])})] if words else []


def host_language(text: str) -> tuple[str, bool]:
    """The synthesizer's code of a text's language, and True if that is well founded."""
    found = identify_by_script(text)
    if found is not None:
        return found, True
    tag, certain = identify_latin(text)
    return language_code(tag), certain


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 30 else words[:29] + "…"


def spoken_forms(runs: Sequence[Run]) -> list[str]:
    """The text for the voice of each run's language, spelled as the run is spoken.

    Raises:
        InvalidRequest: The reader of a language crashes at its text.
        EngineUnavailable: Reading it needs a package that is not installed.
    """
    japanese = [run.text for run in runs if run.language == "ja"]
    kana = iter(to_kana(japanese) if japanese else ())
    return [next(kana) if run.language == "ja" else _spoken_form(run) for run in runs]


def _spoken_form(run: Run) -> str:
    return (
        spoken_korean(run.text) if run.language == "ko" else verbalize_signs(run.text, run.language)
    )


def verbalize_signs(text: str, language: str) -> str:
    """A text with the signs that its voice would not read in the language's words."""
    base = language.split("-", maxsplit=1)[0]
    if base in {"cmn", "yue"}:
        text = _chinese(text)
    to = f" {_TO[base]} " if base in _TO else " - "
    text = _RANGE.sub(rf"\1{to}", text)
    if base in _TO:
        text = _YEARS.sub(
            lambda at: at[0] if len(at[1]) != len(at[2]) else f"{at[1]}{to}{at[2]}", text
        )
    for sign, words in _WORDS.get(base, {}).items():
        text = text.replace(sign, words)
    return re.sub(r"\s+", " ", text.replace("~", " ")).strip()


def _chinese(text: str) -> str:
    """Percentages and prices in Chinese order; years and telephone numbers digit by digit."""
    text = _CHINESE_DIGIT_BY_DIGIT.sub(
        lambda at: at[0].replace("-", " ").translate(_CHINESE_DIGITS), text
    )
    return _CHINESE_PERCENT.sub(r"百分之\1", _CHINESE_MONEY.sub(r"\2\1", text))
