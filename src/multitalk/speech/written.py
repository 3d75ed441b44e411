"""Texts as people write and paste them, made plain: what is left is what a reader would say.

Markdown is CommonMark's, with the tables and strike-through of GitHub's; of HTML the tags that
chat programs and mail leave behind.
"""

import html
import re
import unicodedata
from dataclasses import dataclass

from multitalk.speech.cutting import parts_of, pause_after
from multitalk.speech.letters import plain_letters

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

# Signs that are said; other symbols (Unicode's categories S) are looks: arrows, stars, emoji.
_SAID_SYMBOLS = "+<=>~°±×÷$€£¥₩₹₽¢©№"
# Of punctuation, what voices would call by name where nobody says it.
_UNSAID = re.compile(r"[*_\\^`|†‡¶※•‣⁃▪]|\[\]|#(?![\w])|(?<=\w)#|#(?=[^\W\d])")


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
        parts = parts_of(" ".join(line.split()))
        if any(marks.fullmatch(parts[0]) for marks in _NOT_TEXT):
            continue
        bare = [_without_block_marks(_without_html(parts[0])), *map(_without_html, parts[1:])]
        said = [_without_signs(plain_letters(_without_inline_marks(part))) for part in bare]
        said = [part for part in said if any(letter.isalnum() for letter in part)]
        lines += [Line(part, pause_after(part)) for part in said]
        if said:
            lines[-1] = Line(said[-1], LINE_PAUSE)
        elif lines and not "".join(bare).strip():
            lines[-1] = Line(lines[-1].text, PARAGRAPH_PAUSE)
    if lines:
        lines[-1] = Line(lines[-1].text, 0.0)
    return lines


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
    line = _URL.sub(_said_of_url, line)
    line = _SHARP.sub(r"\1 sharp", _TIMES.sub(" × ", line))
    for _ in range(3):  # emphasis within emphasis
        line = _UNDERLINED.sub(r"\2", _EMPHASIS.sub(r"\2", line))
    return _ESCAPED.sub(r"\1", line.replace("`", ""))


def _said_of_url(match: re.Match[str]) -> str:
    """An address as people say it: host and path."""
    address = match[1]
    ending = address[len(address.rstrip(".,;:!?…")) :]
    said = re.sub(r"[?#].*$", "", address.rstrip(".,;:!?…")).rstrip("/")
    return said.removeprefix("www.") + ending


def _without_signs(text: str) -> str:
    """A text without emoji, arrows and other signs that are seen and not said."""
    text = _UNSAID.sub(" ", text)
    shown = (
        " " if unicodedata.category(letter)[0] == "S" and letter not in _SAID_SYMBOLS else letter
        for letter in text
    )
    plain = re.sub(r"\s+", " ", "".join(shown)).strip()
    return re.sub(r"\s+([,.!?;:])", r"\1", plain)
