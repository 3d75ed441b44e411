"""The voices that a text can be spoken with, as the doors list them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from multitalk.speech.espeak import inventory
from multitalk.speech.languages import language_code
from multitalk.speech.voices import Gender, speaker_from

EITHER: tuple[Gender, ...] = ("female", "male")  # are names of voices, too


@dataclass(frozen=True)
class VoiceRecord:
    """One voice.

    Attributes:
        name: As a request's `voice`.
        gender: None where it is neither, or not known.
        languages: Codes of what it speaks; None where it speaks every language.
        recommended: Whether it is a plain voice that is good for any talk.
    """

    name: str
    gender: Gender | None
    languages: tuple[str, ...] | None = None
    recommended: bool = False

    def reply(self) -> dict[str, Any]:
        """The record as JSON has it."""
        return asdict(self)


def own_voices() -> tuple[VoiceRecord, ...]:
    """The synthesizer's voices: `female` and `male`, then the recommended ones, then the others.

    Raises:
        EngineUnavailable: There is no synthesizer.
    """
    either = [VoiceRecord(gender, gender, recommended=True) for gender in EITHER]
    found = [speaker_from(name, said) for name, said in inventory()["variants"].items()]
    speakers = [
        VoiceRecord(speaker.name, speaker.gender, recommended=speaker.recommended)
        for speaker in sorted(found, key=lambda speaker: speaker.rank)
    ]
    return (*either, *speakers)


def speaking(voices: Iterable[VoiceRecord], language: str) -> tuple[VoiceRecord, ...]:
    """Those of the voices that speak a language.

    Raises:
        InvalidRequest: No voice speaks it.
    """
    code = language_code(language)
    return tuple(
        voice
        for voice in voices
        if voice.languages is None or code in map(language_code, voice.languages)
    )
