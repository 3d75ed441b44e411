"""Text to speech with exact phoneme times, by espeak-ng in a process of its own.

The process keeps espeak-ng's licence (GPL-3) away from ours and a crash of it away from the job.
The same text, language and voice always give the same samples.
"""

import difflib
import json
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multitalk.errors import DeadlineExceeded, EngineUnavailable, InvalidRequest, LimitExceeded
from multitalk.speech.articulation import PROBABILITY_RATE
from multitalk.speech.phonemes import one_hot, viseme_sequence, visemes_of_ipa
from multitalk.speech.track import STEPS_PER_FRAME, VisemeTrack, track_from

MAX_CHARACTERS = 20_000
MAX_SECONDS = 3600.0  # digits are a word each, and a word may be slow
TIMEOUT_SECONDS = 120.0
DEFAULT_WORDS_PER_MINUTE = 160
MIN_WORDS_PER_MINUTE, MAX_WORDS_PER_MINUTE = 80, 450

# What people call a language, where espeak-ng calls it otherwise.
_ALIASES = {
    "en": "en-us",
    "fr": "fr-fr",
    "in": "id",
    "iw": "he",
    "no": "nb",
    "nn": "nb",
    "vi-vn": "vi",
    "zh": "cmn",
    "zh-hk": "yue",
    "zh-mo": "yue",
}


@dataclass(frozen=True)
class PhonemeTiming:
    """One phoneme: when it sounds, and its IPA symbols; no symbols for a pause."""

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
    """

    samples: NDArray[np.float32]
    sample_rate: int
    phonemes: tuple[PhonemeTiming, ...]

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
        wanted = -(-len(self.samples) * sample_rate // self.sample_rate)
        return resampled[:wanted].astype(np.float32) * gain


def synthesize(
    text: str,
    *,
    language: str = "en",
    voice: str | None = None,
    words_per_minute: int = DEFAULT_WORDS_PER_MINUTE,
    pitch: int = 50,
    pitch_range: int = 50,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> SynthesizedSpeech:
    """Speak a text.

    Args:
        text: Plain text in the language's own script. Markup is read aloud, not obeyed.
        language: Code such as ko, en, zh or pt-BR; see `list_languages`.
        voice: Name of a speaker such as f4 or Michael; see `list_voices`. None: the language's own.
        words_per_minute: 80 to 450.
        pitch: 0 to 100.
        pitch_range: 0 (monotonous) to 100.
        timeout_seconds: Longest time that the synthesizer may take.

    Raises:
        InvalidRequest: The text is empty, or there is no such language or voice.
        LimitExceeded: More than `MAX_CHARACTERS` characters or `MAX_SECONDS` of speech.
        DeadlineExceeded: The synthesizer took too long.
        EngineUnavailable: espeak-ng is not installed or does not work.
    """
    if len(text) > MAX_CHARACTERS:
        raise LimitExceeded("text_too_long", field="text", limit=MAX_CHARACTERS, length=len(text))
    plain = _plain_text(text)
    if not any(character.isalnum() for character in plain):
        raise InvalidRequest("text_unspeakable", field="text")
    name = _inventory()["languages"][_language_code(language)]
    if voice is not None:
        name += "+" + _known(voice, list_voices(), key="voice_unknown", field="voice")
    answer, sound = _ask_espeak(
        {
            "text": plain,
            "voice": name,
            "words_per_minute": int(
                np.clip(words_per_minute, MIN_WORDS_PER_MINUTE, MAX_WORDS_PER_MINUTE)
            ),
            "pitch": int(np.clip(pitch, 0, 100)),
            "pitch_range": int(np.clip(pitch_range, 0, 100)),
            "max_seconds": MAX_SECONDS,
        },
        timeout_seconds,
    )
    samples = np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768)
    sample_rate = int(answer["sample_rate"])
    if len(samples) > MAX_SECONDS * sample_rate:
        raise LimitExceeded("speech_too_long", field="text", limit=MAX_SECONDS)
    return SynthesizedSpeech(
        samples, sample_rate, phoneme_timings(answer["phonemes"], sample_rate, len(samples))
    )


def phoneme_timings(
    starts: list[tuple[int, str]], sample_rate: int, num_samples: int
) -> tuple[PhonemeTiming, ...]:
    """Give each phoneme, known by its first sample, the time until the next; drop empty ones."""
    bounds = [*(min(start, num_samples) for start, _ in starts), num_samples]
    return tuple(
        PhonemeTiming(first / sample_rate, end / sample_rate, ipa)
        for (_, ipa), first, end in zip(starts, bounds[:-1], bounds[1:], strict=True)
        if end > first
    )


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
    return track_from(probabilities, np.zeros(num_steps, np.float32))


@cache
def list_languages() -> tuple[str, ...]:
    """Codes of all languages that `synthesize` speaks, besides common other names of them."""
    return tuple(_inventory()["languages"])


@cache
def list_voices() -> tuple[str, ...]:
    """Names of the speakers; each can speak every language."""
    return tuple(_inventory()["variants"])


@cache
def _inventory() -> dict[str, Any]:
    answer, _ = _ask_espeak({}, TIMEOUT_SECONDS)
    return answer


def _plain_text(text: str) -> str:
    """Normalise the text and blank what is no text: to espeak-ng, U+0001 would be a command."""
    normalised = unicodedata.normalize("NFC", text)
    shown = (" " if unicodedata.category(letter)[0] == "C" else letter for letter in normalised)
    return re.sub(r"\s+", " ", "".join(shown)).strip()


def _language_code(language: str) -> str:
    """The synthesizer's code for a language: exact, by another name, or without its region."""
    codes = list_languages()
    by_lower = {code.lower(): code for code in codes}
    wanted = language.strip().lower().replace("_", "-")
    parts = wanted.split("-")
    for length in range(len(parts), 0, -1):
        shorter = "-".join(parts[:length])
        code = by_lower.get(_ALIASES.get(shorter, shorter))
        if code is not None:
            return code
    return _known(language, codes, key="language_unspoken", field="language")


def _known(name: str, names: tuple[str, ...], *, key: str, field: str) -> str:
    """The one of `names` that is meant, whatever its capitals.

    Raises:
        InvalidRequest: There is none; the message shows the nearest ones.
    """
    by_lower = {known.lower(): known for known in names}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.4) or list(by_lower)[:5]
    raise InvalidRequest(
        key, field=field, value=name[:40], near=", ".join(by_lower[match] for match in near)
    )


def _ask_espeak(request: dict[str, Any], timeout_seconds: float) -> tuple[dict[str, Any], bytes]:
    """Run the synthesizer's process once: its JSON answer, and the bytes behind it."""
    if find_spec("espeakng_loader") is None:
        raise EngineUnavailable(
            "engine_unavailable",
            engine="espeak-ng",
            reason="it is not installed: pip install espeakng-loader==0.2.4",
        )
    try:
        process = subprocess.run(  # noqa: S603 - our own file; the text goes in by stdin
            [sys.executable, str(Path(__file__).with_name("espeak_process.py"))],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout_seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineExceeded("synthesis_slow", limit=timeout_seconds) from error
    except (subprocess.CalledProcessError, OSError) as error:
        raise EngineUnavailable(
            "engine_unavailable", engine="espeak-ng", reason="its process failed"
        ) from error
    head, _, sound = process.stdout.partition(b"\n")
    return json.loads(head), sound
