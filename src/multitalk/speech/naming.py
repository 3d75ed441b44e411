"""Where the synthesizer called letters or signs by name in place of reading them."""

from collections.abc import Mapping, Sequence
from typing import Any

from multitalk.messages import Notice, Translated
from multitalk.speech.languages import LANGUAGE_NAMES
from multitalk.speech.reading import Piece
from multitalk.speech.scripts import script_of

# A letter that is read has this many phonemes at most, on average over a word: four for a Hangul
# syllable, five for a Han character with its tone. "Chinese letter" has eleven.
_MOST_PHONEMES = 5
_MOST_SHOWN = 10
_STOPS = ".,;:!?…()[]\"'-–—。，、；：！？「」『』《》“”‘’؟،؛।"


def is_language_change(ipa: str) -> bool:
    """Whether a phoneme's name is a change to the sounds of another language, such as (en)."""
    return ipa.startswith("(")


def named_letters(pieces: Sequence[Piece], spoken: Sequence[Mapping[str, Any]]) -> list[Notice]:
    """A notice for each language whose voice named what it cannot read.

    Args:
        pieces: What was spoken.
        spoken: The synthesizer's answer to each: `words` and `phonemes`.
    """
    named: dict[str, dict[str, None]] = {}
    for piece, answer in zip(pieces, spoken, strict=True):
        for word, phonemes in _words(piece.text, answer):
            if _is_named(word, phonemes, piece.language):
                named.setdefault(piece.language, {}).update(dict.fromkeys(_shown(word)))
    return [
        Notice(
            "letters_named",
            {
                "language": _name_of(language),
                "letters": " ".join(list(letters)[:_MOST_SHOWN]),
            },
        )
        for language, letters in named.items()
    ]


def _name_of(language: str) -> str:
    if language not in LANGUAGE_NAMES:
        return language
    english, _, korean, *_ = LANGUAGE_NAMES[language]
    return Translated(english, ko=korean)


def _shown(word: str) -> list[str]:
    """Its letters and signs, without the commas and full stops around them."""
    return [letter for letter in word if letter not in _STOPS and not letter.isspace()]


def _words(text: str, answer: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Each word and its phonemes. A word that is spelt comes once for each letter.

    espeak-ng reports no event for some words: their phonemes are with the word before, so it is
    taken with all the text up to the next event.
    """
    phonemes = [ipa for _, ipa in answer["phonemes"]]
    words = answer["words"]
    ends = [*(start for *_, start in words), len(phonemes)][1:]
    heard: dict[tuple[int, int], list[str]] = {}
    for (first, length, start), end in zip(words, ends, strict=True):  # there may be no words
        heard.setdefault((first, length), []).extend(phonemes[start:end])
    firsts = sorted({first for first, _ in heard})
    until = dict(zip(firsts, [*firsts[1:], len(text)], strict=False))  # there may be no words
    return [
        (text[first : max(first + length, until[first])].strip(), said)
        for (first, length), said in heard.items()
    ]


def _is_named(word: str, phonemes: Sequence[str], language: str) -> bool:
    letters = sum(script_of(letter) not in {"", "LATIN"} for letter in word)
    if letters:
        sounds = sum(bool(ipa) and not is_language_change(ipa) for ipa in phonemes)
        return not any(letter.isdigit() for letter in word) and (
            sounds > _MOST_PHONEMES * len(word) + 1
        )
    is_sign = bool(_shown(word)) and not any(letter.isalnum() for letter in word)
    return is_sign and not language.startswith("en") and any(map(is_language_change, phonemes))
