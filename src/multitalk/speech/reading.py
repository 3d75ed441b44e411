"""What is spoken of a text: pieces, each for one voice, and the pauses between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from multitalk.errors import InvalidRequest
from multitalk.messages import Notice
from multitalk.speech.buffers import spoken_parts
from multitalk.speech.cutting import pause_after
from multitalk.speech.korean import without_hanja
from multitalk.speech.languages import language_code
from multitalk.speech.latin import latin_language
from multitalk.speech.scripts import Run, language_by_script, runs_of, unread_script
from multitalk.speech.spoken import spoken_forms
from multitalk.speech.written import Line, plain_lines


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
    """How a text is read aloud.

    Attributes:
        language: The synthesizer's code of the text as a whole.
        pieces: In order; empty if there is nothing to speak.
        notices: What may be wrong with it.
    """

    language: str
    pieces: tuple[Piece, ...]
    notices: tuple[Notice, ...]


def reading_of(text: str, language: str | None = None) -> Reading:
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
    return runs_of(without_hanja(line.text) if host == "ko" else line.text, host)


def _pieces(line: Line, spoken: Sequence[tuple[str, str]]) -> list[Piece]:
    """A line as pieces, the last of which has the line's pause after it.

    Args:
        line: The line.
        spoken: The language of each of its runs, and what to give to its voice.
    """
    pieces: list[Piece] = []
    for language, said in spoken:
        parts = spoken_parts(said)
        pieces += [Piece(part, language, pause_after(part)) for part in parts]
        if pieces[-1].pause_seconds == 0.0:  # the voice stays up, as the sentence goes on
            pieces[-1] = Piece(pieces[-1].text + ",", language, 0.0)
    last = pieces.pop()
    return [*pieces, Piece(last.text.rstrip(","), last.language, line.pause_seconds)]


def _hanja_notices(pieces: list[Piece]) -> list[Notice]:
    """What is read in Chinese within a Korean text, unless there is a whole sentence of it."""
    words = [piece.text.strip(" ,.") for piece in pieces if piece.language == "cmn"]
    return [Notice("hanja_in_chinese", {"letters": ", ".join(words[:3])})] if words else []


def host_language(text: str) -> tuple[str, bool]:
    """The synthesizer's code of a text's language, and whether that is well founded."""
    found = language_by_script(text)
    if found is not None:
        return found, True
    tag, certain = latin_language(text)
    return language_code(tag), certain


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 30 else words[:29] + "…"
