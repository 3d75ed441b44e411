"""Texts kept within what espeak-ng 1.52 holds: it writes beyond some of its buffers, and crashes.

Found with an AddressSanitizer build of it. Nothing here changes what people write; what it changes
are rows of letters and signs that nobody reads aloud.
"""

import re

from multitalk.speech.cutting import parts_of

# Single letters with full stops between them, as in "e.g.", are looked up as one word, joined in a
# buffer of 80 bytes, whatever else is between them. 12 letters are 48 bytes at most.
_SINGLE_LETTERS = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]+[^\W_](?![^\W_])){12,}")
_FULL_STOP = re.compile(r"(?<![0-9])\.|\.(?![0-9])")  # and no decimal point
# English endings such as 's are taken off one by one and their sounds joined in 200 bytes.
_MANY_APOSTROPHES = re.compile(r"[^\s']*(?:'[^\s']*){5,}")
# A word is copied into 160 bytes; each Han character is one.
_LONG_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{40,}")
_MOST_WORD_BYTES = 140
# A number's digits go into 150 bytes together with what separates them, its sounds into 200.
_LONG_NUMBER = re.compile(r"(\d[\d.,]{39})([\d.,]*\d)")
# A clause has at most 300 words, of which each sign and each change to digits begins one.
_WORD = re.compile(r"[^\W\d_]+|\d+|\S")
_MOST_WORDS = 250


def spoken_parts(text: str) -> list[str]:
    """A text in parts that espeak-ng can speak, each by one call.

    Args:
        text: Plain text of one line, as it is spoken.
    """
    spoken = []
    for part in parts_of(text):
        rest = _within_buffers(part)
        while len(words := list(_WORD.finditer(rest))) > _MOST_WORDS:
            first = parts_of(rest, words[_MOST_WORDS].start())[0]
            spoken.append(first)
            rest = rest[len(first) :].lstrip()
        spoken.append(rest)
    return spoken


def _within_buffers(text: str) -> str:
    text = _SINGLE_LETTERS.sub(lambda row: _FULL_STOP.sub(" ", row[0]), text)
    text = _MANY_APOSTROPHES.sub(lambda word: word[0].replace("'", " "), text)
    text = _LONG_NUMBER.sub(lambda number: f"{number[1]} {' '.join(number[2])}", text)
    return _LONG_WORD.sub(lambda word: _in_pieces(word[0]), text)


def _in_pieces(word: str) -> str:
    """The word itself, or words of 40 letters where it is longer than any."""
    if len(word.encode()) <= _MOST_WORD_BYTES:
        return word
    return re.sub(r"(.{40})(?=.)", r"\1 ", word)
