"""The front end: from a text to pieces, each for one voice, and the pauses between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from multitalk.errors import InvalidRequest
from multitalk.messages import Notice
from multitalk.speech.espeak import split_for_espeak
from multitalk.speech.text.korean_text import remove_redundant_hanja
from multitalk.speech.text.language_identification import identify_latin
from multitalk.speech.text.languages import language_code
from multitalk.speech.text.normalization import spoken_forms
from multitalk.speech.text.plain_text import Line, pause_after, plain_lines
from multitalk.speech.text.scripts import Run, identify_by_script, split_by_language, unread_script


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
    """Find out what to say of a text as people write it.

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
    """The synthesizer's code of a text's language, and whether that is well founded."""
    found = identify_by_script(text)
    if found is not None:
        return found, True
    tag, certain = identify_latin(text)
    return language_code(tag), certain


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 30 else words[:29] + "…"
