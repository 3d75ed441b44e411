"""Text as people write and paste it, as plain lines: markup, styled letters and symbols removed.

Markdown is CommonMark's, with the tables and strike-through of GitHub's; of HTML the tags that
chat programs and mail leave behind.
"""

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import cache

LINE_PAUSE = 0.4  # seconds: as after a full stop
PARAGRAPH_PAUSE = 0.8

_BREAK = re.compile(r"<(?:br|/p|/div|/h[1-6]|/li|/tr)\s*/?>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|code|del|div|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark|ol|p|pre|"
    r"s|small|span|strike|strong|sub|sup|table|tbody|td|th|thead|tr|u|ul)"
    r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))*\s*/?>""",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--.*?-->")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d?);")

_RULE = re.compile(r"\s*([-*_=~])(?:\s*\1){2,}\s*")
_FENCE = re.compile(r"\s*(?:```|~~~)[\w+-]*\s*")
_TABLE_RULE = re.compile(r"\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*(?::?-{2,}:?)?\s*")
_DEFINITION = re.compile(r"\s*\[[^\]]+\]:\s+\S+.*")
_NOT_TEXT = (_FENCE, _TABLE_RULE, _DEFINITION)
_LINE_MARK = re.compile(r"\s*(?:>\s?|#{1,6}\s+|[-+*•‣▪◦●○■□▶►–—]\s+|[•‣▪◦●○■□▶►]|\[[ xX]\]\s+)")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\]]*\])")
_FOOTNOTE = re.compile(r"\[\^[^\]]*\]")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]+)>")
_URL = re.compile(r"(?:https?://|mailto:)([^\s<>\"'()\u3131-\ucb4c\uac00-\ud7a3]+)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_EMPHASIS = re.compile(r"(\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1")
_UNDERLINED = re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)")
_EMOTICON = re.compile(
    r"(?<!\S)(?:[:;=][-^']?[()DPpoO3|]+|<3+|\^[_.o-]*\^;*|T_+T|>_+<|\([>^]_*[<^]\))(?!\S)"
)
_SHARP = re.compile(r"\b([CF])#(?!\w)")  # a note, a programming language
_TIMES = re.compile(r"(?<=\d)\s*\*\s*(?=\d)")

# Signs that are spoken; other symbols (Unicode's categories S) are not: arrows, stars, emoji.
_SAID_SYMBOLS = "+<=>~°±×÷$€£¥₩₹₽¢©№"
# Of punctuation, what voices would call by name where nobody says it.
_UNSAID = re.compile(r"[*_\\^`|†‡¶※•‣⁃▪]|\[\]|#(?![\w])|(?<=\w)#|#(?=[^\W\d])")

# Tags of a character's decomposition that are a matter of looks:
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
_SMALL_CAPITAL = re.compile("LATIN LETTER SMALL CAPITAL (.)")
# Lines drawn over or under letters, and what chooses a sign's looks.
_OVERLAYS = re.compile(
    "[\u0332\u0333\u0335-\u0338\u035f\u20d0-\u20f0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_TILDES = str.maketrans("∼〜～˜", "~~~~")
# Seconds that espeak-ng leaves between two sentences, and at a comma.
SENTENCE_PAUSE, CLAUSE_PAUSE = 0.36, 0.2
# The most that is looked at, and spoken, at once: what takes time does so by the square of it.
MAX_PART_CHARACTERS = 1000
_SENTENCE_ENDS, _CLAUSE_ENDS = ".!?。！？।؟…", ",;:，、；：،؛"
_LEAST_SHARE = 4  # a part is at least that fraction of the most it may be


@dataclass(frozen=True)
class Line:
    """A line of plain text, and the silence in seconds after it."""

    text: str
    pause_seconds: float


def plain_lines(text: str) -> list[Line]:
    """The lines of a text that have something to say, without markup and signs that nobody says.

    Each ends with a pause, a longer one where empty lines follow; the last one with none.
    """
    lines: list[Line] = []
    for line in _BREAK.sub("\n", text).splitlines():
        parts = split_text(" ".join(line.split()))
        if any(marks.fullmatch(parts[0]) for marks in _NOT_TEXT):
            continue
        bare = [_without_block_marks(_without_html(parts[0])), *map(_without_html, parts[1:])]
        if spoken := [plain for part in bare if (plain := _spoken_part(part))]:
            lines += [Line(part, pause_after(part)) for part in spoken]
            lines[-1] = Line(spoken[-1], LINE_PAUSE)
        elif lines and not "".join(bare).strip():
            lines[-1] = Line(lines[-1].text, PARAGRAPH_PAUSE)
    return [*lines[:-1], *(Line(line.text, 0.0) for line in lines[-1:])]


def _spoken_part(part: str) -> str:
    """A part of a line without marks and signs; empty if nothing in it can be spoken."""
    plain = _without_signs(normalize_characters(_without_inline_marks(part)))
    return plain if any(map(str.isalnum, plain)) else ""


def _without_html(text: str) -> str:
    plain = _TAG.sub("", _COMMENT.sub("", text))
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), plain)


def _without_block_marks(line: str) -> str:
    """A line of Markdown without what makes it a heading, an item, a quotation, code or a rule."""
    if _RULE.fullmatch(line):
        return ""
    while mark := _LINE_MARK.match(line):
        line = line[mark.end() :]
    if line.count("|") > 1:
        line = ", ".join(cell.strip() for cell in line.strip().strip("|").split("|"))
    return re.sub(r"\s+#+\s*$", "", line)


def _without_inline_marks(line: str) -> str:
    """A line of Markdown without emphasis, ticks and the targets of links."""
    line = _EMOTICON.sub("", line)
    line = _FOOTNOTE.sub("", _AUTOLINK.sub(r"\1", _LINK.sub(r"\1", line)))
    line = _URL.sub(_spoken_url, line)
    line = _SHARP.sub(r"\1 sharp", _TIMES.sub(" × ", line))
    for _ in range(3):  # emphasis within emphasis
        line = _UNDERLINED.sub(r"\2", _EMPHASIS.sub(r"\2", line))
    return _ESCAPED.sub(r"\1", line.replace("`", ""))


def _spoken_url(match: re.Match[str]) -> str:
    """An address as people say it: host and path."""
    address = match[1]
    ending = address[len(address.rstrip(".,;:!?…")) :]
    spoken = re.sub(r"[?#].*$", "", address.rstrip(".,;:!?…")).rstrip("/")
    return spoken.removeprefix("www.") + ending


def _without_signs(text: str) -> str:
    """A text without emoji, arrows and other signs that nobody speaks."""
    text = _UNSAID.sub(" ", text)
    shown = (
        " " if unicodedata.category(letter)[0] == "S" and letter not in _SAID_SYMBOLS else letter
        for letter in text
    )
    plain = re.sub(r"\s+", " ", "".join(shown)).strip()
    return re.sub(r"\s+([,.!?;:])", r"\1", plain)


# Unicode's compatibility forms (UAX 15) are taken one by one, not by NFKC: that would also split
# Hangul's compatibility letters (U+3131 and on), Thai vowels and fractions: voices read them whole.


def normalize_characters(text: str) -> str:
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


def _is_style(tag: str, letter: str) -> bool:
    """True if a decomposition with this tag changes only the look of a letter."""
    if tag == "<super>":
        return unicodedata.category(letter) == "Lm"  # a modifier
    return tag in _STYLES or (tag == "<compat>" and bool(_COMPATIBLE.match(letter)))


@cache
def _plain_letter(letter: str) -> str:
    if letter.isascii():
        return letter
    if small_capital := _SMALL_CAPITAL.fullmatch(unicodedata.name(letter, "")):
        return small_capital[1].lower()
    tag, *codes = unicodedata.decomposition(letter).split() or [""]
    if not _is_style(tag, letter):
        return letter
    plain = "".join(_plain_letter(chr(int(code, 16))) for code in codes)
    # A number in a circle is a number by itself, whatever follows.
    return f" {plain} " if tag in {"<circle>", "<square>"} and plain.isdigit() else plain


def split_text(text: str, limit: int = MAX_PART_CHARACTERS) -> list[str]:
    """A text in parts of at most `limit` characters, cut at sentences, else clauses, else words."""
    parts = []
    text = text.strip()
    while len(text) > limit:
        window = text[:limit]
        for ends in (_SENTENCE_ENDS, _CLAUSE_ENDS, " "):
            cut = max(window.rfind(mark) for mark in ends) + 1
            if cut > limit // _LEAST_SHARE:
                break
        else:
            cut = limit
        parts.append(text[:cut].strip())
        text = text[cut:].lstrip()
    return [*parts, text]


def pause_after(text: str) -> float:
    """Seconds of pause after a part, as long as the synthesizer's own."""
    if text[-1:] in _SENTENCE_ENDS:
        return SENTENCE_PAUSE
    return CLAUSE_PAUSE if text[-1:] in _CLAUSE_ENDS else 0.0
