"""Text to speech with exact phoneme times, by espeak-ng.

The same text, language and voice always give the same samples.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multitalk.errors import InvalidRequest, LimitExceeded
from multitalk.messages import Notice, Translated
from multitalk.speech.coarticulation import PROBABILITY_RATE
from multitalk.speech.espeak import (
    DEFAULT_PITCH,
    TIMEOUT_SECONDS,
    Tuning,
    inventory,
    list_voices,
    match_name,
    resolve_speaker,
    run_espeak,
    transpose,
)
from multitalk.speech.phonemes import one_hot, viseme_sequence, visemes_of_ipa
from multitalk.speech.text.front_end import Piece, Reading, read_text
from multitalk.speech.text.languages import LANGUAGE_NAMES
from multitalk.speech.text.scripts import script_of
from multitalk.speech.viseme_track import STEPS_PER_FRAME, VisemeTrack, track_from_probabilities

MAX_CHARACTERS = 20_000
MAX_SECONDS = 3600.0  # digits are a word each, and a word may be slow
DEFAULT_WORDS_PER_MINUTE = 160
MIN_WORDS_PER_MINUTE, MAX_WORDS_PER_MINUTE = 80, 450

UNKNOWN_SOUND = "*"

# A letter that is read has this many phonemes at most, on average over a word: four for a Hangul
# syllable, five for a Han character with its tone. "Chinese letter" has eleven.
_MOST_PHONEMES = 5
_MOST_SHOWN = 10
_STOPS = ".,;:!?…()[]\"'-–—。，、；：！？「」『』《》“”‘’؟،؛।"


@dataclass(frozen=True)
class PhonemeTiming:
    """One phoneme: when it sounds, and its IPA symbols; no symbols for a pause.

    In a recording, where the phonemes are not known, a stretch of sound with `UNKNOWN_SOUND`.
    """

    start_seconds: float
    end_seconds: float
    ipa: str


@dataclass(frozen=True)
class SynthesizedSpeech:
    """A spoken text.

    Attributes:
        samples: float32 [S] in [-1, 1], mono.
        sample_rate: Hertz, as the synthesizer made it.
        phonemes: In order and without gaps.
        notices: What the caller should know about it.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    phonemes: tuple[PhonemeTiming, ...]
    notices: tuple[Notice, ...] = ()

    def resampled(self, sample_rate: int) -> NDArray[np.float32]:
        """The samples at another rate, by cutting or extending their spectrum; exact in time."""
        step = self.sample_rate // np.gcd(self.sample_rate, sample_rate)
        # A second of silence, so that the end does not ring into the beginning; a whole number of
        # samples at both rates.
        padding = self.sample_rate + -(len(self.samples) + self.sample_rate) % step
        padded = np.pad(self.samples, (0, int(padding)))
        length = len(padded) * sample_rate // self.sample_rate
        resampled = np.fft.irfft(np.fft.rfft(padded)[: length // 2 + 1], length)
        gain = np.float32(sample_rate / self.sample_rate)
        num_samples = -(-len(self.samples) * sample_rate // self.sample_rate)
        return resampled[:num_samples].astype(np.float32) * gain


def synthesize(
    text: str,
    *,
    language: str | None = None,
    voice: str | None = None,
    words_per_minute: float = DEFAULT_WORDS_PER_MINUTE,
    semitones: float = 0.0,
    max_seconds: float = MAX_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> SynthesizedSpeech:
    """Speak a text.

    Args:
        text: As people write it. Nothing in it is a command to the synthesizer.
        language: Of the text as a whole, as `language_code` takes it; None: as the text tells.
            Letters of other languages are spoken by a voice that reads them.
        voice: Name of a speaker such as f4 or Michael, see `list_voices`; or `female` or `male`.
            None: the language's own.
        words_per_minute: 80 to 450.
        semitones: By which the voice is higher, or lower where negative. `notices` report a shift
            beyond the speaker's range.
        max_seconds: Of speech; not more than `MAX_SECONDS`.
        timeout_seconds: Longest time that the synthesizer may take.

    Raises:
        InvalidRequest: Nothing in the text can be spoken, or there is no such language or voice.
        LimitExceeded: More than `MAX_CHARACTERS` characters or `max_seconds` of speech.
        DeadlineExceeded: The synthesizer took too long.
        EngineUnavailable: espeak-ng is not installed or does not work.
    """
    if len(text) > MAX_CHARACTERS:
        raise LimitExceeded("text_too_long", field="text", limit=MAX_CHARACTERS, length=len(text))
    max_seconds = min(max_seconds, MAX_SECONDS)
    reading = read_text(text, language)
    if not reading.pieces:
        raise InvalidRequest("text_unspeakable", field="text")
    speaker = _speaker(voice, reading.language)
    tunings = {
        language: transpose(_pitch_of(speaker, language), semitones)
        for language in dict.fromkeys(piece.language for piece in reading.pieces)
    }
    request = {
        "pieces": [
            _request_of(piece, speaker, tunings[piece.language]) for piece in reading.pieces
        ],
        "words_per_minute": round(
            min(max(words_per_minute, MIN_WORDS_PER_MINUTE), MAX_WORDS_PER_MINUTE)
        ),
        "max_seconds": max_seconds,
    }
    answer, sound = run_espeak(request, timeout_seconds)
    notices = [
        *reading.notices,
        *spelled_letters_notices(reading.pieces, answer["pieces"]),
        *(notice for tuning in tunings.values() for notice in tuning.notices),
    ]
    speech = _assembled(reading, answer, np.frombuffer(sound, "<i2"), notices)
    if len(speech.samples) > max_seconds * speech.sample_rate:
        raise LimitExceeded("speech_too_long", field="text", limit=max_seconds)
    return speech


def _speaker(voice: str | None, language: str) -> str | None:
    """The speaker of a voice's name; None for the language's own."""
    speaker = None if voice is None else resolve_speaker(voice, language=language)
    if speaker is None:
        return None
    return match_name(speaker, list_voices(), key="voice_unknown", field="voice")


def _request_of(piece: Piece, speaker: str | None, tuning: Tuning) -> dict[str, object]:
    """A piece as `espeak_process` takes it."""
    voice = inventory()["languages"][piece.language]
    return {
        "text": piece.text,
        "voice": f"{voice}+{speaker}" if speaker else voice,
        "pitch": tuning.pitch,
        "pitch_range": tuning.pitch_range,
    }


def _assembled(
    reading: Reading,
    answer: dict[str, Any],
    sound: NDArray[np.int16],
    notices: Sequence[Notice],
) -> SynthesizedSpeech:
    """The pieces as one speech, with the pauses between them."""
    sample_rate = int(answer["sample_rate"])
    samples: list[NDArray[np.int16]] = []
    starts: list[tuple[int, str]] = []
    taken = length = 0
    for piece, spoken in zip(reading.pieces, answer["pieces"], strict=True):
        samples.append(sound[taken : taken + spoken["num_samples"]])
        taken += spoken["num_samples"]
        starts.append((length, ""))  # the first sound may begin late
        starts.extend(
            (length + start, "" if is_language_change(ipa) else ipa)
            for start, ipa in spoken["phonemes"]
        )
        length += spoken["num_samples"]
        pause = round(piece.pause_seconds * sample_rate)
        if pause:
            starts.append((length, ""))
            samples.append(np.zeros(pause, np.int16))
            length += pause
    joined = np.concatenate(samples, dtype=np.float32, casting="unsafe")
    joined /= np.float32(32768)
    return SynthesizedSpeech(
        joined, sample_rate, phoneme_timings(starts, sample_rate, length), tuple(notices)
    )


def phoneme_timings(
    starts: list[tuple[int, str]], sample_rate: int, num_samples: int
) -> tuple[PhonemeTiming, ...]:
    """Give each phoneme, known by its first sample, the time until the next.

    The synthesizer gives none to a phoneme that it draws together with the one before, such as the
    l of Korean 살: the two share that one's time. Other empty ones are dropped.
    """
    bounds = [*(min(start, num_samples) for start, _ in starts), num_samples]
    timings: list[PhonemeTiming] = []
    for (_, ipa), first, end in zip(starts, bounds[:-1], bounds[1:], strict=True):
        if end > first:
            timings.append(PhonemeTiming(first / sample_rate, end / sample_rate, ipa))
        elif ipa and timings and timings[-1].ipa:
            timings[-1] = replace(timings[-1], ipa=timings[-1].ipa + ipa)
    return tuple(timings)


def are_known(phonemes: Iterable[PhonemeTiming]) -> bool:
    """True if these are phonemes, and not stretches of sound in a recording."""
    return all(phoneme.ipa != UNKNOWN_SOUND for phoneme in phonemes)


def phoneme_track(phonemes: tuple[PhonemeTiming, ...], num_frames: int) -> VisemeTrack:
    """The track of a talk whose phonemes are known: what `analyse_speech` would find at best.

    Everything is spoken equally loud in it.
    """
    timed = [
        (phoneme.start_seconds, phoneme.end_seconds, visemes_of_ipa(phoneme.ipa))
        for phoneme in phonemes
    ]
    num_steps = num_frames * STEPS_PER_FRAME
    probabilities = one_hot(viseme_sequence(timed, num_steps, rate=PROBABILITY_RATE))
    return track_from_probabilities(probabilities, np.zeros(num_steps, np.float32))


def _pitch_of(speaker: str | None, language: str) -> tuple[float, float]:
    """Lowest and highest frequency of a speaker, or of the language's own voice, in hertz."""
    own = inventory()["language_speakers"].get(language, {}).get("pitch", DEFAULT_PITCH)
    found = own if speaker is None else inventory()["variants"][speaker].get("pitch", own)
    return float(found[0]), float(found[1])


def is_language_change(ipa: str) -> bool:
    """True if a phoneme's name is a change to the sounds of another language, such as (en)."""
    return ipa.startswith("(")


def spelled_letters_notices(
    pieces: Sequence[Piece], spoken: Sequence[Mapping[str, Any]]
) -> list[Notice]:
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
    """Letters and signs of a word, without the commas and full stops around them."""
    return [letter for letter in word if letter not in _STOPS and not letter.isspace()]


def _words(text: str, answer: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Each word and its phonemes. A word that is spelt comes once for each letter.

    espeak-ng reports no event for some words: their phonemes are with the word before, so it is
    taken with all the text up to the next event.
    """
    phonemes = [ipa for _, ipa in answer["phonemes"]]
    words = answer["words"]
    ends = [*(start for *_, start in words), len(phonemes)][1:]
    by_word: dict[tuple[int, int], list[str]] = {}
    for (first, length, start), end in zip(words, ends, strict=True):  # there may be no words
        by_word.setdefault((first, length), []).extend(phonemes[start:end])
    firsts = sorted({first for first, _ in by_word})
    until = dict(zip(firsts, [*firsts[1:], len(text)], strict=False))  # there may be no words
    return [
        (text[first : max(first + length, until[first])].strip(), ipas)
        for (first, length), ipas in by_word.items()
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
