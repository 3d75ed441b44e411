"""espeak-ng: requests to its process, its languages and its voices.

A separate process keeps its licence (GPL-3) apart, its crashes away from the job, and what a text
may make it do away from everything else: see `multitalk.confinement`.

Its data give the gender of some voices, and the pitch range in hertz of nearly all. What follows
from them was measured: the fundamental frequency of an English and a Korean sentence by each voice.
"""

import difflib
import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

from multitalk.confinement.run import run_confined
from multitalk.errors import DeadlineExceeded, EngineUnavailable, InvalidRequest
from multitalk.messages import Notice
from multitalk.speech.text.plain_text import split_text

_LOG = logging.getLogger(__name__)

TIMEOUT_SECONDS = 120.0
_MOST_ANSWER_BYTES = 256 << 20  # an hour of speech is 160 MB

Gender: TypeAlias = Literal["female", "male"]
DEFAULT_PITCH = (82.0, 118.0)  # Hz, of a voice whose file says nothing
# Plain human voices, the best first: the mouth network reads their lips as well as the languages'
# own voices (docs/experiments.md), and their median frequency is that of women, or of men. The
# others whisper, croak, buzz, rush or are near copies of these.
RECOMMENDED: dict[Gender, tuple[str, ...]] = {
    "female": ("f5", "f2", "f1", "f3", "f4", "linda", "steph", "Annie"),
    "male": ("m7", "m6", "m5", "m3", "m1", "Michael", "max", "m8"),
}
# Where the lips follow another woman's voice better than the first one (the same entry).
_FEMALE_OF = {"hi": "f1", "vi": "linda"}
_ORDER = [name for names in RECOMMENDED.values() for name in names]
# A voice's median frequency is BASE_SHARE below its lowest plus MIDDLE of its range, in hertz.
BASE_OFFSET = 9.0
MIDDLE = 0.78
# Women speak at 165 to 255 Hz, men at 85 to 155 Hz (Titze, Principles of Voice Production, 1994).
HIGHEST_MALE, HIGHEST_FEMALE = 160.0, 260.0  # Hz
# How espeak-ng's parameters work, measured at 11 pitches of 6 speakers. The lowest frequency is
# multiplied by 2^((pitch - 50) / 50), the range by pitch_range / 50; widening the range by a whole
# range lowers the voice by RANGE_DROP of it.
NEUTRAL = 50
RANGE_DROP = 0.475
LOWEST_FACTOR, HIGHEST_FACTOR = 0.5, 2.0  # of the lowest frequency, at pitch 0 and 100
NOTICED_SEMITONES = 0.5  # a smaller difference from the request is inaudible
# Single letters with full stops between them, as in "e.g.", are looked up as one word, joined in a
# buffer of 80 bytes, whatever else is between them. 12 letters are 48 bytes at most.
_SINGLE_LETTERS = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]+[^\W_](?![^\W_])){12,}")
_FULL_STOP = re.compile(r"(?<![0-9])\.|\.(?![0-9])")  # and no decimal point
# English endings such as 's are taken off one by one and their sounds joined in 200 bytes.
_MANY_APOSTROPHES = re.compile(r"(?<![^\s'])[^\s']*(?:'[^\s']*){5,}")
# A word is copied into 160 bytes; each Han character is one.
_LONG_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{40,}")
_MOST_WORD_BYTES = 140
# A number's digits go into 150 bytes together with what separates them, its sounds into 200.
_LONG_NUMBER = re.compile(r"(\d[\d.,]{39})([\d.,]*\d)")
# A clause has at most 300 words, of which each sign and each change to digits begins one.
_WORD = re.compile(r"[^\W\d_]+|\d+|\S")
_MOST_WORDS = 250


@cache
def list_languages() -> tuple[str, ...]:
    """Codes of all languages that `synthesize` speaks, besides common other names of them."""
    return tuple(inventory()["languages"])


@cache
def list_voices() -> tuple[str, ...]:
    """Names of the speakers; each can speak every language."""
    return tuple(inventory()["variants"])


@cache
def inventory() -> dict[str, Any]:
    """The synthesizer's languages and speakers, as `espeak_process` answers.

    `languages`: its name of each language's voice; `language_speakers` and `variants`: what its
    data say of those voices and of the speakers.
    """
    answer, _ = run_espeak({}, TIMEOUT_SECONDS)
    return answer


def match_name(name: str, names: tuple[str, ...], *, key: str, field: str) -> str:
    """The one of `names` that is meant, whatever its capitals.

    Raises:
        InvalidRequest: There is none; the message shows the nearest ones.
    """
    by_lower = {each.lower(): each for each in names}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.4) or list(by_lower)[:5]
    raise InvalidRequest(
        key, field=field, value=name[:40], near=", ".join(by_lower[match] for match in near)
    )


def run_espeak(
    request: dict[str, Any], timeout_seconds: float
) -> tuple[dict[str, Any], memoryview]:
    """Run the synthesizer's process once: its JSON answer, and the bytes after its line end.

    Raises:
        InvalidRequest: The text ended the process: by a crash, or at its limit of memory or CPU.
        DeadlineExceeded: It took too long.
        EngineUnavailable: espeak-ng is not installed or does not work.
    """
    if find_spec("espeakng_loader") is None:
        raise EngineUnavailable(
            "engine_unavailable",
            engine="espeak-ng",
            reason="it is not installed: pip install espeakng-loader==0.2.4",
        )
    try:
        ended = run_confined(
            "multitalk.speech.espeak_process",
            json.dumps(request).encode(),
            timeout_seconds=timeout_seconds,
            max_output_bytes=_MOST_ANSWER_BYTES,
        )
    except TimeoutError as error:
        raise DeadlineExceeded("synthesis_slow", limit=timeout_seconds) from error
    except OSError as error:
        raise _unavailable() from error
    if ended.crashed:
        _LOG.warning("espeak-ng was ended by signal %d at a text", -ended.returncode)
        raise InvalidRequest("text_unspeakable_here", field="text")
    if ended.returncode != 0:
        _LOG.error("espeak-ng's process failed: %s", ended.stderr)
        raise _unavailable()
    length = ended.output.find(b"\n")
    if length < 0:
        length = len(ended.output)
    return json.loads(ended.output[:length]), memoryview(ended.output)[length + 1 :]


def _unavailable() -> EngineUnavailable:
    return EngineUnavailable("engine_unavailable", engine="espeak-ng", reason="its process failed")


@dataclass(frozen=True)
class EspeakSpeaker:
    """One of espeak-ng's speakers; each speaks every language.

    Attributes:
        name: As requests write it.
        gender: None where the voice is neither, such as a child's.
        recommended: Whether it is a plain human voice.
    """

    name: str
    gender: Gender | None
    recommended: bool

    @property
    def rank(self) -> tuple[int, str]:
        """Sorts the recommended ones first, best first, then by name."""
        place = _ORDER.index(self.name) if self.name in _ORDER else len(_ORDER)
        return place, self.name.lower()


@dataclass(frozen=True)
class Tuning:
    """Parameters that make a voice higher or lower.

    Attributes:
        pitch: espeak-ng's parameter, 0 to 100.
        pitch_range: espeak-ng's parameter, 0 to 100.
        notices: A shift that is smaller than requested, if so.
    """

    pitch: int
    pitch_range: int
    notices: tuple[Notice, ...] = ()


def parse_speaker(name: str, record: Mapping[str, Any]) -> EspeakSpeaker:
    """A speaker from what the data say: `{"gender": "female", "pitch": [base, top]}`, or less."""
    stated = record.get("gender")
    gender: Gender | None = "female" if stated == "female" else "male" if stated == "male" else None
    if gender is None:
        gender = _gender_at(median_hertz(record.get("pitch", DEFAULT_PITCH)))
    return EspeakSpeaker(name, gender, name in _ORDER)


def median_hertz(pitch: tuple[float, float]) -> float:
    """About the frequency of half of what a voice says, from its lowest and highest one."""
    base, top = pitch
    return base - BASE_OFFSET + MIDDLE * (top - base)


def resolve_speaker(voice: str, *, language: str) -> str | None:
    """The speaker that a name means, `female` and `male` among the names.

    Args:
        voice: As a request names it.
        language: The synthesizer's code of the text as a whole.

    Returns:
        None for the language's own voice, which is a man's in all languages.
    """
    name = voice.strip().lower()
    if name == "male":
        return None
    if name == "female":
        return _FEMALE_OF.get(language.split("-", maxsplit=1)[0], RECOMMENDED["female"][0])
    return voice


def transpose(pitch: tuple[float, float], semitones: float) -> Tuning:
    """The parameters that move a voice by so many semitones, its intonation with it.

    Args:
        pitch: Lowest and highest frequency of the voice, in hertz.
        semitones: Up; down where negative.
    """
    base, top = pitch
    drop = RANGE_DROP * (top - base) / (base - BASE_OFFSET)
    highest, lowest = ((limit + drop) / (1 + drop) for limit in (HIGHEST_FACTOR, LOWEST_FACTOR))
    requested = 2 ** (semitones / 12)
    ratio = min(max(requested, lowest), highest)
    factor = ratio + drop * (ratio - 1)
    reached = 12 * math.log2(ratio)
    notices: tuple[Notice, ...] = ()
    if abs(reached - semitones) > NOTICED_SEMITONES:
        notices = (Notice("pitch_out_of_reach", {"asked": semitones, "reached": reached}),)
    return Tuning(
        pitch=min(max(round(NEUTRAL + 50 * math.log2(factor)), 0), 100),
        pitch_range=min(max(round(NEUTRAL * ratio), 0), 100),
        notices=notices,
    )


def _gender_at(hertz: float) -> Gender | None:
    if hertz <= HIGHEST_MALE:
        return "male"
    return "female" if hertz <= HIGHEST_FEMALE else None


# espeak-ng 1.52 writes beyond some of its buffers, and crashes (found with AddressSanitizer). What
# is changed to avoid that are rows of letters and signs that nobody reads aloud.


def split_for_espeak(text: str) -> list[str]:
    """A text in parts that espeak-ng can speak, each by one call.

    Args:
        text: Plain text of one line, as it is spoken.
    """
    spoken = []
    for part in split_text(text):
        rest = _within_buffers(part)
        while len(words := list(_WORD.finditer(rest))) > _MOST_WORDS:
            first = split_text(rest, words[_MOST_WORDS].start())[0]
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
