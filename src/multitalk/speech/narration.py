"""Narration: the texts of a request, spoken one after the other, with pauses."""

import math
import wave
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np

from multitalk.errors import InvalidRequest, LimitExceeded, MultiTalkError
from multitalk.media.decoding_errors import CheckCancelled, never_cancelled
from multitalk.media.loudness import LoudnessMeter
from multitalk.messages import Notice
from multitalk.schema import SpokenText
from multitalk.schema.request import is_service_voice
from multitalk.speech.service_synthesis import ServiceSynthesizer
from multitalk.speech.synthesis import (
    DEFAULT_WORDS_PER_MINUTE,
    MAX_SECONDS,
    PhonemeTiming,
    SynthesizedSpeech,
    are_known,
    synthesize,
)

PAUSE_SECONDS = 0.4  # between two texts: about what a speaker leaves between sentences
# A video that begins within a word begins with its mouth open; one that ends with it never closes.
BEFORE_SECONDS = 0.24
AFTER_SECONDS = 0.32
QUIETEST_LUFS = -50.0  # softer sound is noise, and gets no more gain than this
PEAK = 0.98
BLOCK_SAMPLES = 2**18  # measured and written at once


def narrate(
    texts: Sequence[SpokenText],
    *,
    field: str,
    outside: ServiceSynthesizer | None = None,
    for_face: bool = True,
    max_seconds: float = math.inf,
    check_cancelled: CheckCancelled = never_cancelled,
) -> SynthesizedSpeech:
    """Speak texts one after the other, with a short pause between.

    Args:
        texts: At least one.
        field: The request field that holds them, such as `audio_paths.person1`.
        outside: Speaks the texts whose voices are named `tts:NAME`.
        for_face: Whether there is silence before and after, in which a face gets ready and comes
            to rest.
        max_seconds: No more is spoken than about this, of all texts together.
        check_cancelled: Called before each text.

    Raises:
        RequestError: A text, its language or its voice cannot be spoken; the field is named.
        LimitExceeded: They last longer than `max_seconds`.
        WorkerError: The synthesizer is missing, failed or took too long.
        Cancelled: The job was taken back while the speech service spoke.
    """
    too_long = LimitExceeded("speech_too_long", field=field, limit=max_seconds)
    spoken: list[SynthesizedSpeech] = []
    seconds = 0.0
    for index, text in enumerate(texts):
        check_cancelled()
        place = field if len(texts) == 1 else f"{field}.{index}"
        try:
            part = _spoken(text, outside, max_seconds - seconds)
        except MultiTalkError as error:
            if error.key == too_long.key and max_seconds - seconds < MAX_SECONDS:
                raise too_long from error
            if error.field is not None:
                error.field = f"{place}.{error.field}"
            raise
        seconds += len(part.samples) / part.sample_rate
        if seconds > max_seconds:
            raise too_long
        spoken.append(part)
        seconds += PAUSE_SECONDS
    edges = (BEFORE_SECONDS, AFTER_SECONDS) if for_face else (0.0, 0.0)
    return _joined(match_loudness(spoken), *edges)


def _spoken(
    text: SpokenText, outside: ServiceSynthesizer | None, max_seconds: float
) -> SynthesizedSpeech:
    if text.voice is not None and is_service_voice(text.voice):
        if outside is None:
            raise InvalidRequest("speech_service_missing", field="voice", name=text.voice)
        return outside.speak(text)
    return synthesize(
        text.text,
        language=text.language,
        voice=text.voice,
        words_per_minute=DEFAULT_WORDS_PER_MINUTE * text.speed,
        semitones=text.pitch,
        max_seconds=max_seconds,
    )


def match_loudness(parts: list[SynthesizedSpeech]) -> list[SynthesizedSpeech]:
    """Make parts of the speech service as loud as the others; the same list."""
    is_own = [are_known(part.phonemes) for part in parts]
    if len(set(is_own)) < 2:
        return parts
    own = [_loudness(part) for part in compress(parts, is_own)]
    target = sum(own) / len(own)
    for index, part in enumerate(parts):
        if not is_own[index]:
            parts[index] = _at_loudness(part, target)
    return parts


def _loudness(speech: SynthesizedSpeech) -> float:
    meter = LoudnessMeter(speech.sample_rate, 1)
    for start in range(0, len(speech.samples), BLOCK_SAMPLES):
        meter.add(speech.samples[None, start : start + BLOCK_SAMPLES])
    return max(meter.integrated(), QUIETEST_LUFS)


def _at_loudness(speech: SynthesizedSpeech, target: float) -> SynthesizedSpeech:
    gain = 10 ** ((target - _loudness(speech)) / 20)
    highest = PEAK / max(float(np.abs(speech.samples).max(initial=0.0)), 1e-9)
    return replace(speech, samples=speech.samples * np.float32(min(gain, highest)))


def _joined(
    parts: list[SynthesizedSpeech], before_seconds: float, after_seconds: float
) -> SynthesizedSpeech:
    """Parts as one speech at the highest of their sample rates, with pauses and silence around it.

    An hour of samples is 300 MB, so there is one copy of it: the list is emptied.
    """
    rate = max(part.sample_rate for part in parts)
    before, pause, after = (
        round(seconds * rate) for seconds in (before_seconds, PAUSE_SECONDS, after_seconds)
    )
    for index, part in enumerate(parts):
        parts[index] = _at_rate(part, rate)
    length = sum(len(part.samples) for part in parts) + (len(parts) - 1) * pause
    samples = np.zeros(before + length + after, np.float32)
    phonemes: list[PhonemeTiming] = []
    notices: list[Notice] = []
    end = 0  # within the speech
    parts.reverse()
    while parts:
        part = parts.pop()
        start = end + pause if phonemes else 0
        if phonemes:
            phonemes.append(PhonemeTiming(end / rate, start / rate, ""))
        phonemes.extend(shifted(part.phonemes, start / rate) if start else part.phonemes)
        notices.extend(part.notices)
        end = start + len(part.samples)
        samples[before + start : before + end] = part.samples
    if before or after:
        first, last = before / rate, (before + end) / rate
        phonemes = [
            PhonemeTiming(0.0, first, ""),
            *shifted(phonemes, first),
            PhonemeTiming(last, last + after / rate, ""),
        ]
    return SynthesizedSpeech(samples, rate, tuple(phonemes), tuple(notices))


def _at_rate(speech: SynthesizedSpeech, sample_rate: int) -> SynthesizedSpeech:
    if speech.sample_rate == sample_rate:
        return speech
    return replace(speech, samples=speech.resampled(sample_rate), sample_rate=sample_rate)


def shifted(phonemes: Sequence[PhonemeTiming], seconds: float) -> tuple[PhonemeTiming, ...]:
    """The same sounds, later."""
    return tuple(
        PhonemeTiming(sound.start_seconds + seconds, sound.end_seconds + seconds, sound.ipa)
        for sound in phonemes
    )


def write_wav(speech: SynthesizedSpeech, path: Path) -> None:
    """Keep a speech as 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(speech.sample_rate)
        for start in range(0, len(speech.samples), BLOCK_SAMPLES):
            block = speech.samples[start : start + BLOCK_SAMPLES]
            pcm = np.clip(np.round(block * 32767.0), -32768, 32767).astype("<i2")
            file.writeframes(pcm.tobytes())
