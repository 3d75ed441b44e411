"""The characters of a text made those that a voice knows: styled letters plain, unseen ones gone.

Unicode's compatibility forms (UAX 15) are taken one by one, not by NFKC: that would also pull apart
Hangul's compatibility letters (U+3131 and on), Thai vowels and fractions, which voices read whole.
"""

import re
import unicodedata
from functools import cache

# Tags of a character's decomposition that are a matter of looks.
_STYLES = {
    "<font>", "<wide>", "<narrow>", "<circle>", "<square>", "<initial>", "<medial>", "<final>",
    "<isolated>", "<vertical>", "<small>", "<noBreak>",
}  # fmt: skip
# Where a <compat> decomposition is one, too: micro sign, digraphs, letterlike signs and Roman
# numerals, Kangxi radicals, enclosed and squared signs, ligatures.
_COMPATIBLE = re.compile(
    "[\u00b5\u0132\u0133\u01c4-\u01cc\u01f1-\u01f3\u2026\u2100-\u2115\u2117-\u2188\u2e80-\u2fdf\u3200-\u33ff"
    "\ufb00-\ufb06]"
)
# Scripts in which a zero-width (non-)joiner is spelling: Arabic's, and those of India.
_JOINED_LETTER = re.compile("[\u0600-\u08ff\u0900-\u0dff\ufb50-\ufdff\ufe70-\ufeff]")
_JOINERS = "\u200c\u200d"
_SMALL_CAPITAL = "LATIN LETTER SMALL CAPITAL "
# Lines drawn over or under letters, and what chooses a sign's looks.
_OVERLAYS = re.compile(
    "[\u0332\u0333\u0335-\u0338\u035f\u20d0-\u20f0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_APOSTROPHES = str.maketrans("´`‘’‛ʼʻ′＇", "'" * 9)
_TILDES = str.maketrans("∼〜～˜", "~~~~")


def plain_letters(text: str) -> str:
    """A text in NFC, of plain letters, without control and format characters.

    Joiners stay between letters of the Arabic script and of Indic ones, where they are spelling.
    """
    plain = "".join(map(_plain_letter, unicodedata.normalize("NFC", text)))
    plain = _OVERLAYS.sub("", plain).translate(_TILDES)
    plain = re.sub(r"(?<=\w)[´`‘’‛ʼʻ′＇](?=\w)", "'", plain)
    return unicodedata.normalize("NFC", _without_unseen(plain))


def _without_unseen(text: str) -> str:
    kept = []
    for index, letter in enumerate(text):
        kind = unicodedata.category(letter)
        if kind == "Cf":
            if letter in _JOINERS and index and _JOINED_LETTER.match(text[index - 1]):
                kept.append(letter)
        elif kind[0] == "C" or kind == "Zs":
            kept.append(" ")  # to espeak-ng, U+0001 would be a command
        else:
            kept.append(letter)
    return "".join(kept)


@cache
def _plain_letter(letter: str) -> str:
    if letter.isascii():
        return letter
    name = unicodedata.name(letter, "")
    if name.startswith(_SMALL_CAPITAL) and len(name) == len(_SMALL_CAPITAL) + 1:
        return name[-1].lower()
    tag, *codes = unicodedata.decomposition(letter).split() or [""]
    is_modifier = tag == "<super>" and unicodedata.category(letter) == "Lm"
    if not (tag in _STYLES or is_modifier or (tag == "<compat>" and _COMPATIBLE.match(letter))):
        return letter
    plain = "".join(_plain_letter(chr(int(code, 16))) for code in codes)
    # A number in a circle is a number by itself, whatever follows.
    return f" {plain} " if tag in {"<circle>", "<square>"} and plain.isdigit() else plain
