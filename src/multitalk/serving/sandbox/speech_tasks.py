"""Sandboxed tasks on texts: how long they last when spoken, and the speech itself.

A request of few characters is spoken as a whole, so its lengths are exact. Of a larger one at most
`SPOKEN_CHARACTERS` in `SPOKEN_TEXTS` parts are spoken. The rest is estimated from its letters and
the speaking rate of what was spoken of its text, or else of all texts.
"""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from multitalk.errors import EngineUnavailable, InvalidRequest, LimitExceeded, RequestError
from multitalk.media.audio_encoder import encode_sound
from multitalk.messages import Notice
from multitalk.schema import SpokenText
from multitalk.serving.sandbox.ipc import SPEECH, notices_to_json
from multitalk.speech.espeak import inventory
from multitalk.speech.narration import AFTER_SECONDS, BEFORE_SECONDS, PAUSE_SECONDS, narrate
from multitalk.speech.synthesis import SynthesizedSpeech
from multitalk.speech.text.language_identification import identify_latin

Result = TypeVar("Result")
Speak: TypeAlias = Callable[..., SynthesizedSpeech]  # as `narrate`

SPOKEN_CHARACTERS = 2000  # of one request
SPOKEN_TEXTS = 16

# Duration of a character in letters of an alphabet. Within a text these are only proportions.
_SYLLABLE, _DIGIT, _SENTENCE_END, _COMMA, _MARK = 2.4, 4.0, 5.0, 2.0, 0.3
_SYLLABIC = ("HANGUL", "HIRAGANA", "KATAKANA", "CJK", "YI", "ETHIOPIC")
_PAUSES = dict.fromkeys(".!?…。！？\n", _SENTENCE_END) | dict.fromkeys(",;:、，؛،", _COMMA)
# Where no text could be spoken.
_USUAL_SECONDS_PER_LETTER = 0.07
ESTIMATE_TOLERANCE = 1.25  # times the limit: a longer estimate is too long for certain


@dataclass(frozen=True)
class Length:
    """Duration of a speaker's texts.

    Attributes:
        seconds: With the silence before, between and after; None if unknown.
        is_exact: Whether all texts were spoken.
        notices: For the caller.
    """

    seconds: float | None
    is_exact: bool = True
    notices: tuple[Notice, ...] = ()


def lengths_of(
    speakers: Mapping[str, Sequence[SpokenText]],
    *,
    may_fail: Collection[str] = (),
    at: Callable[[str], None] = lambda _: None,
    speak: Speak = narrate,
) -> dict[str, Length]:
    """The duration of each speaker's texts.

    Args:
        speakers: Texts by the field that holds them.
        may_fail: Fields whose duration is unknown, not an error, where they cannot be spoken here.
        at: Called with each field before it is processed.
        speak: The synthesizer.

    Raises:
        RequestError: A text, its language or its voice cannot be spoken; the field is named.
        WorkerError: The synthesizer is missing, failed or took too long.
    """
    count = sum(map(len, speakers.values()))
    characters = sum(len(text.text) for texts in speakers.values() for text in texts)
    each = partial(_for_each_speaker, speakers, may_fail, at)
    if count <= SPOKEN_TEXTS and characters <= SPOKEN_CHARACTERS:
        found = each(lambda field, texts: _measure(texts, field, speak))
    else:
        parts = each(partial(_speak_some, _sample(speakers), speak))
        seconds_per_letter = _seconds_per_letter(chain.from_iterable(parts.values()))
        found = {
            field: _estimate(speakers[field], parts[field], field, seconds_per_letter)
            for field in parts
        }
    return {field: found.get(field, Length(None)) for field in speakers}


def _for_each_speaker(
    speakers: Mapping[str, Sequence[SpokenText]],
    may_fail: Collection[str],
    at: Callable[[str], None],
    measure: Callable[[str, Sequence[SpokenText]], Result],
) -> dict[str, Result]:
    """Measure each speaker's texts, by field; leaves out those that may fail and do."""
    found = {}
    for field, texts in speakers.items():
        at(field)
        with _suppress_if(field in may_fail):
            found[field] = measure(field, texts)
    return found


def _sample(speakers: Mapping[str, Sequence[SpokenText]]) -> set[tuple[str, int]]:
    """Some texts, evenly over all, by the speaker's field and their number."""
    places = [(field, index) for field, texts in speakers.items() for index in range(len(texts))]
    return {places[number * len(places) // SPOKEN_TEXTS] for number in range(SPOKEN_TEXTS)}


def _speak_some(
    chosen: Collection[tuple[str, int]], speak: Speak, field: str, texts: Sequence[SpokenText]
) -> "list[_SpokenBeginning | None]":
    """The beginnings of a speaker's chosen texts; None for each of the others."""
    characters = SPOKEN_CHARACTERS // len(chosen)
    return [
        _speak_beginning(text, _field_of_text(field, index, texts), characters, speak)
        if (field, index) in chosen
        else None
        for index, text in enumerate(texts)
    ]


@contextmanager
def _suppress_if(may_fail: bool) -> Iterator[None]:
    try:
        yield
    except (RequestError, EngineUnavailable):
        if not may_fail:
            raise


def _measure(texts: Sequence[SpokenText], field: str, speak: Speak) -> Length:
    speech = speak(texts, field=field)
    return Length(len(speech.samples) / speech.sample_rate, notices=tuple(speech.notices))


@dataclass(frozen=True)
class _SpokenBeginning:
    """The beginning of a text, spoken at its speed.

    Attributes:
        seconds: Its duration.
        letters: By `letters_of`, at the normal speed.
        notices: Of the synthesizer.
    """

    seconds: float
    letters: float
    notices: tuple[Notice, ...]


def _speak_beginning(
    text: SpokenText, field_of_text: str, characters: int, speak: Speak
) -> _SpokenBeginning | None:
    """The first words of a text, spoken; None where only these are not speakable."""
    beginning = text.text
    if len(beginning) > characters:
        cut = beginning[:characters]
        beginning = cut.rsplit(maxsplit=1)[0] if any(map(str.isspace, cut.strip())) else cut
    try:
        speech = speak(
            [text.model_copy(update={"text": beginning})], field=field_of_text, for_face=False
        )
    except InvalidRequest as error:
        if error.key == "text_unspeakable" and beginning != text.text:
            return None
        raise
    seconds = len(speech.samples) / speech.sample_rate
    return _SpokenBeginning(seconds, letters_of(beginning) / text.speed, tuple(speech.notices))


def _seconds_per_letter(parts: Iterable[_SpokenBeginning | None]) -> float:
    """Seconds for a letter, the mean of all parts."""
    spoken = list(filter(None, parts))
    letters = sum(part.letters for part in spoken)
    return sum(part.seconds for part in spoken) / letters if letters else _USUAL_SECONDS_PER_LETTER


def _estimate(
    texts: Sequence[SpokenText],
    parts: Sequence[_SpokenBeginning | None],
    field: str,
    seconds_per_letter: float,
) -> Length:
    seconds = BEFORE_SECONDS + AFTER_SECONDS + PAUSE_SECONDS * (len(texts) - 1)
    notices = [Notice("duration_sampled", {"field": field, "limit": SPOKEN_CHARACTERS})]
    for text, part in zip(texts, parts, strict=True):
        of_text = (
            seconds_per_letter if part is None or not part.letters else part.seconds / part.letters
        )
        seconds += of_text * letters_of(text.text) / text.speed
        notices += part.notices if part else ()
    return Length(seconds, is_exact=False, notices=tuple(notices))


def letters_of(text: str) -> float:
    """Length of a text in letters of an alphabet: pauses, digits and syllables count as several."""
    return sum(map(_letters_of_character, text))


@lru_cache(maxsize=4096)
def _letters_of_character(character: str) -> float:
    if (pause := _PAUSES.get(character)) is not None:
        return pause
    kind = unicodedata.category(character)
    if kind.startswith("M"):
        return _MARK
    if kind.startswith("N"):
        return _DIGIT
    if not kind.startswith("L"):
        return 0.0
    is_syllable = unicodedata.name(character, "").startswith(_SYLLABIC)
    return _SYLLABLE if is_syllable else 1.0


def _field_of_text(field: str, index: int, texts: Sequence[SpokenText]) -> str:
    return field if len(texts) == 1 else f"{field}.{index}"


def prepare() -> None:
    """Load the list of voices and the language detector, which are slow."""
    try:
        inventory()
    except EngineUnavailable:
        return  # reported by the task
    identify_latin("a word")


def lengths(
    given: Mapping[str, Any], _: Path, at: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Seconds of each speaker's texts by field, None if unknown; and notices.

    `speakers` are fields with their texts. `outside` are those of them whose voices are a speech
    service's, which is not called: the synthesizer speaks instead.
    """
    speakers = {
        field: [SpokenText.model_validate(text) for text in texts]
        for field, texts in given["speakers"].items()
    }
    limit = given["max_speech_seconds"]
    found: dict[str, dict[str, Any]] = {}
    for field, length in lengths_of(speakers, may_fail=given["outside"], at=at).items():
        limit_of_field = limit if length.is_exact else ESTIMATE_TOLERANCE * limit
        if length.seconds is not None and length.seconds > limit_of_field:
            raise LimitExceeded("speech_too_long", field=field, limit=limit)
        found[field] = {"seconds": length.seconds, "notices": notices_to_json(length.notices)}
    return found


def speech(given: Mapping[str, Any], directory: Path, at: Callable[[str], None]) -> object:
    """A text as a sound file in `directory`; notices."""
    field, format_name = given["field"], given["format"]
    at(field)
    spoken = narrate([SpokenText.model_validate(given["text"])], field=field, for_face=False)
    sound = encode_sound(spoken.samples, spoken.sample_rate, format_name)
    (directory / SPEECH).write_bytes(sound)
    return notices_to_json(spoken.notices)
