"""What a request has a speaker say: texts spoken one after the other, with pauses."""

import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from multitalk.errors import InvalidRequest, MultiTalkError
from multitalk.media.loudness import LoudnessMeter
from multitalk.schema import SpokenText
from multitalk.schema.request import is_outside
from multitalk.speech.outside import OutsideVoices
from multitalk.speech.synthesis import (
    DEFAULT_WORDS_PER_MINUTE,
    PhonemeTiming,
    SynthesizedSpeech,
    are_known,
    synthesize,
)

PAUSE_SECONDS = 0.4  # between two texts: about what a speaker leaves between sentences
# A video that begins within a word begins with its mouth open; one that ends with it never closes.
BEFORE_SECONDS = 0.24
AFTER_SECONDS = 0.32
QUIETEST_LUFS = -50.0  # what is softer is noise, and not made louder than this would be
PEAK = 0.98


def narrate(
    texts: Sequence[SpokenText],
    *,
    field: str,
    outside: OutsideVoices | None = None,
    for_face: bool = True,
) -> SynthesizedSpeech:
    """Speak texts one after the other, with a short pause between.

    Args:
        texts: At least one.
        field: The request field that holds them, such as `audio_paths.person1`.
        outside: Speaks the texts whose voices are named `tts:NAME`.
        for_face: Whether there is silence before and after, as `rested` has it.

    Raises:
        RequestError: A text, its language or its voice cannot be spoken; the field is named.
        WorkerError: The synthesizer is missing, failed or took too long.
        Cancelled: The job was taken back while the speech service spoke.
    """
    spoken = []
    for index, text in enumerate(texts):
        place = field if len(texts) == 1 else f"{field}.{index}"
        try:
            spoken.append(_spoken(text, outside))
        except MultiTalkError as error:
            if error.field is not None:
                error.field = f"{place}.{error.field}"
            raise
    speech = joined(levelled(spoken))
    return rested(speech) if for_face else speech


def _spoken(text: SpokenText, outside: OutsideVoices | None) -> SynthesizedSpeech:
    if text.voice is not None and is_outside(text.voice):
        if outside is None:
            raise InvalidRequest("speech_service_missing", field="voice", name=text.voice)
        return outside.speak(text)
    return synthesize(
        text.text,
        language=text.language,
        voice=text.voice,
        words_per_minute=DEFAULT_WORDS_PER_MINUTE * text.speed,
        semitones=text.pitch,
    )


def levelled(parts: Sequence[SynthesizedSpeech]) -> Sequence[SynthesizedSpeech]:
    """Parts of the speech service as loud as the others, where one speaker has both kinds."""
    own = [_loudness(part) for part in parts if are_known(part.phonemes)]
    if len(own) in (0, len(parts)):
        return parts
    wanted = sum(own) / len(own)
    return [part if are_known(part.phonemes) else _at_loudness(part, wanted) for part in parts]


def _loudness(speech: SynthesizedSpeech) -> float:
    meter = LoudnessMeter(speech.sample_rate, 1)
    meter.add(speech.samples[None])
    return max(meter.integrated(), QUIETEST_LUFS)


def _at_loudness(speech: SynthesizedSpeech, wanted: float) -> SynthesizedSpeech:
    gain = 10 ** ((wanted - _loudness(speech)) / 20)
    highest = PEAK / max(float(np.abs(speech.samples).max(initial=0.0)), 1e-9)
    return replace(speech, samples=speech.samples * np.float32(min(gain, highest)))


def joined(parts: Sequence[SynthesizedSpeech]) -> SynthesizedSpeech:
    """Several speeches as one, pauses between them, at the highest of their sample rates."""
    sample_rate = max(part.sample_rate for part in parts)
    parts = [_at_rate(part, sample_rate) for part in parts]
    pause = np.zeros(round(PAUSE_SECONDS * sample_rate), np.float32)
    samples = parts[0].samples
    phonemes = list(parts[0].phonemes)
    for part in parts[1:]:
        end = len(samples) / sample_rate
        samples = np.concatenate([samples, pause, part.samples])
        start = end + len(pause) / sample_rate
        phonemes.append(PhonemeTiming(end, start, ""))
        phonemes.extend(moved(part.phonemes, start))
    notices = tuple(notice for part in parts for notice in part.notices)
    return SynthesizedSpeech(samples, sample_rate, tuple(phonemes), notices)


def _at_rate(speech: SynthesizedSpeech, sample_rate: int) -> SynthesizedSpeech:
    if speech.sample_rate == sample_rate:
        return speech
    return replace(speech, samples=speech.resampled(sample_rate), sample_rate=sample_rate)


def rested(speech: SynthesizedSpeech) -> SynthesizedSpeech:
    """A speech with the silence in which a face gets ready and comes to rest."""
    rate = speech.sample_rate
    before, after = (round(seconds * rate) for seconds in (BEFORE_SECONDS, AFTER_SECONDS))
    start, end = before / rate, (before + len(speech.samples)) / rate
    return SynthesizedSpeech(
        np.pad(speech.samples, (before, after)),
        rate,
        (
            PhonemeTiming(0.0, start, ""),
            *moved(speech.phonemes, start),
            PhonemeTiming(end, end + after / rate, ""),
        ),
        speech.notices,
    )


def moved(phonemes: Sequence[PhonemeTiming], seconds: float) -> tuple[PhonemeTiming, ...]:
    """The same sounds, later."""
    return tuple(
        PhonemeTiming(sound.start_seconds + seconds, sound.end_seconds + seconds, sound.ipa)
        for sound in phonemes
    )


def write_wav(speech: SynthesizedSpeech, path: Path) -> None:
    """Keep a speech as 16-bit PCM."""
    pcm = np.clip(np.round(speech.samples * 32767.0), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(speech.sample_rate)
        file.writeframes(pcm.tobytes())
