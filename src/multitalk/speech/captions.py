"""Subtitles of a spoken text: its words in short pieces, with their times.

The synthesizer says when it pauses, not at which word. So each piece gets as much of the spoken
time as its letters are worth, and its ends are then moved into the pauses that fit best: the
cheapest way through all pauses, by dynamic programming. That needs nothing but the text as it was
written and the times of the sounds, whatever was done to the text before it was spoken.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.speech.synthesis import PhonemeTiming
from multitalk.speech.text.plain_text import plain_lines

# Two lines of 42 Latin letters, of about 17 wide ones (Hangul, kana, Han): the usual limits.
LINE_WIDTH = 42.0
MAX_WIDTH = 2 * LINE_WIDTH
WIDE = 2.5
STEP_SECONDS = 0.1  # where there is no pause, a piece ends at a multiple of this
LINGER_SECONDS = 0.5  # a piece stays so long after its last sound, if nothing follows

# The speech in one letter, in Latin letters; letters without sound count nothing.
_WORTH = {"HANGUL": 2.4, "HIRAGANA": 2.0, "KATAKANA": 2.0, "CJK": 3.0}
_WORTH_OF_DIGIT = 5.0
_LEAST_WORTH = 4.0  # of a piece; a shorter one is shown with the next

_SENTENCE_END = re.compile(r"(?<=[.!?…][\"'”’)])\s+|(?<=[.!?…])\s+|(?<=[。！？])\s*|\n+")
_CLAUSE_END = re.compile(r"(?<=[,;:—])\s+|(?<=[、，；：])\s*")

_FULL_PAUSE_SECONDS = 0.33  # what a synthesizer leaves after a sentence, or more
_NO_PAUSE_COST = 0.5  # a piece of 2 s rather ends 1 s from where it should than without a pause
_SLACK_SECONDS = 0.3
_BAND_SHARE, _BAND_SECONDS = 0.15, 3.0  # how far from its expected place an end is looked for


@dataclass(frozen=True)
class Caption:
    """Some words and their times, in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


def captions_of(texts: Sequence[str], sounds: Sequence[PhonemeTiming]) -> tuple[Caption, ...]:
    """Give each piece of some texts its time.

    Args:
        texts: Spoken one after the other, as they were written.
        sounds: Of all of them: in order, pauses without symbols.

    Returns:
        In order, without overlaps; none where there are no sounds.
    """
    pieces = [piece for text in texts for piece in pieces_of(text)]
    spoken = [step for sound in sounds if sound.ipa for step in _steps(sound)]
    if not pieces or not spoken:
        return ()
    timeline = _Timeline(spoken)
    ends = _best_ends(np.array([_worth(piece) for piece in pieces]), timeline)
    starts = [spoken[0].start_seconds, *(end.resumes for end in ends)]
    stops = [*(end.pauses for end in ends), spoken[-1].end_seconds]
    limits = [*starts[1:], sounds[-1].end_seconds]
    return tuple(
        Caption(round(start, 3), round(min(stop + LINGER_SECONDS, limit), 3), piece)
        for piece, start, stop, limit in zip(pieces, starts, stops, limits, strict=True)
    )


def pieces_of(text: str) -> list[str]:
    """A text in pieces of two lines at most: its sentences, or clauses and words of long ones.

    Markup and signs that nobody says are left out.
    """
    lines = (line.text for line in plain_lines(text))
    sentences = [" ".join(part.split()) for line in lines for part in _SENTENCE_END.split(line)]
    pieces: list[str] = []
    for sentence in sentences:
        if not _worth(sentence):
            continue
        is_tail = bool(pieces) and _worth(pieces[-1]) < _LEAST_WORTH  # too short; or `Dr.`
        pieces.extend(_short(f"{pieces.pop()} {sentence}" if is_tail else sentence))
    return pieces


def write_captions(captions: Sequence[Caption], path: Path) -> Path:
    """Keep captions as JSON; the file's path."""
    path.write_text(json.dumps([asdict(caption) for caption in captions]), "ascii")
    return path


def read_captions(content: bytes) -> list[Caption]:
    """The captions that `write_captions` has written."""
    return [Caption(**fields) for fields in json.loads(content)]


def as_srt(captions: Sequence[Caption]) -> str:
    """Captions as SubRip, which most players and editors read."""
    return "".join(
        f"{number}\n{_stamp(one.start_seconds, ',')} --> {_stamp(one.end_seconds, ',')}\n"
        f"{_lines(one.text)}\n\n"
        for number, one in enumerate(captions, start=1)
    )


def as_vtt(captions: Sequence[Caption]) -> str:
    """Captions as WebVTT (W3C), which browsers read."""
    return "WEBVTT\n\n" + "".join(
        f"{_stamp(one.start_seconds, '.')} --> {_stamp(one.end_seconds, '.')}\n"
        f"{_escaped(_lines(one.text))}\n\n"
        for one in captions
    )


def _steps(sound: PhonemeTiming) -> Iterator[PhonemeTiming]:
    """A sound as short ones: of a recording only the stretches between pauses are known."""
    seconds = sound.end_seconds - sound.start_seconds
    count = max(1, round(seconds / STEP_SECONDS))
    for step in range(count):
        start, end = (sound.start_seconds + seconds * at / count for at in (step, step + 1))
        yield PhonemeTiming(start, end, sound.ipa)


@dataclass(frozen=True)
class _End:
    """A position at which a piece may end.

    Attributes:
        place: Seconds of sound before it, pauses not counted.
        pauses: When the last sound before it ends.
        resumes: When the next sound begins.
    """

    place: float
    pauses: float
    resumes: float


class _Timeline:
    """The sounds of a speech, without its pauses."""

    def __init__(self, spoken: Sequence[PhonemeTiming]) -> None:
        self._starts = np.array([sound.start_seconds for sound in spoken])
        self._ends = np.array([sound.end_seconds for sound in spoken])
        self._places = np.cumsum(self._ends - self._starts)

    @property
    def seconds(self) -> float:
        """Length of all sounds."""
        return float(self._places[-1])

    def pauses(self) -> list[_End]:
        """Every gap between two sounds."""
        gaps = np.flatnonzero(self._starts[1:] - self._ends[:-1] > 1e-6)
        return [self._after(int(index)) for index in gaps]

    def nearest(self, place: float) -> _End:
        """The end of the sound that is nearest to a place."""
        inner = self._places[:-1]
        if not len(inner):
            return self._after(0)
        return self._after(int(np.argmin(np.abs(inner - place))))

    def _after(self, index: int) -> _End:
        following = min(index + 1, len(self._starts) - 1)
        resumes = max(float(self._starts[following]), float(self._ends[index]))
        return _End(float(self._places[index]), float(self._ends[index]), resumes)


def _best_ends(worths: NDArray[np.float64], timeline: _Timeline) -> list[_End]:
    """Ends of all pieces but the last, in order: the cheapest way through the candidates."""
    lengths = worths / worths.sum() * timeline.seconds
    expected = np.cumsum(lengths)[:-1]
    pauses = timeline.pauses()
    pause_places = np.array([pause.place for pause in pauses])
    band = _BAND_SHARE * timeline.seconds + _BAND_SECONDS
    before, costs = np.zeros(1), np.zeros(1)  # places and costs of the ends of the last piece
    choices: list[tuple[list[_End], NDArray[np.intp]]] = []
    for length, place in zip(lengths[:-1], expected, strict=True):
        first, end = np.searchsorted(pause_places, (place - band, place + band))
        candidates = [*pauses[first:end], timeline.nearest(place)]
        places = np.array([end.place for end in candidates])
        steps = _misfit(places[None, :] - before[:, None], length) + costs[:, None]
        choices.append((candidates, np.argmin(steps, axis=0)))
        costs = np.min(steps, axis=0) + np.array([_pause_cost(end) for end in candidates])
        before = places
    chosen: list[_End] = []
    last = int(np.argmin(costs + _misfit(timeline.seconds - before, lengths[-1])))
    for candidates, previous in reversed(choices):
        chosen.append(candidates[last])
        last = int(previous[last])
    return chosen[::-1]


def _misfit(actual: NDArray[np.float64], expected: float) -> NDArray[np.float64]:
    """The cost of a piece's length; high for one that ends before it begins."""
    cost = (actual - expected) ** 2 / (expected + _SLACK_SECONDS)
    return np.where(actual > 0, cost, cost + 1e6)


def _pause_cost(end: _End) -> float:
    share = min(1.0, (end.resumes - end.pauses) / _FULL_PAUSE_SECONDS)
    return _NO_PAUSE_COST * (1 - share)


def _worth(text: str) -> float:
    return sum(map(_worth_of, text))


def _worth_of(letter: str) -> float:
    if letter.isdigit():
        return _WORTH_OF_DIGIT
    if not letter.isalpha():
        return 0.0
    return _WORTH.get(unicodedata.name(letter, "").split(" ")[0], 1.0)


def _short(sentence: str) -> Iterator[str]:
    """A sentence in pieces of two lines at most, cut where it hurts least, near the middle."""
    if _width(sentence) <= MAX_WIDTH:
        yield sentence
        return
    cut = _cut(sentence)
    for part in (sentence[:cut].rstrip(), sentence[cut:].lstrip()):
        yield from _short(part)


def _cut(sentence: str) -> int:
    """The cut of a text: after a clause in the middle half, else between words, else anywhere."""
    middle, quarter = len(sentence) / 2, len(sentence) / 4
    for pattern in (_CLAUSE_END, re.compile(r"\s+")):
        places = [match.end() for match in pattern.finditer(sentence)]
        near = [place for place in places if abs(place - middle) <= quarter]
        if near:
            return min(near, key=lambda place: abs(place - middle))
    return len(sentence) // 2


def _lines(text: str) -> str:
    """A piece in one line, or in two of about one width."""
    spaces = [match.start() for match in re.finditer(" ", text)]
    if _width(text) <= LINE_WIDTH or not spaces:
        return text
    cut = min(spaces, key=lambda place: abs(2 * _width(text[:place]) - _width(text)))
    return f"{text[:cut]}\n{text[cut + 1 :]}"


def _width(text: str) -> float:
    return sum(WIDE if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


def _stamp(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    """WebVTT has markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
