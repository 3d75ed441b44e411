"""The voices that can speak a text, as the command line and the server list them."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from multitalk.errors import EngineUnavailable, InvalidRequest, MultiTalkError
from multitalk.inputs.speech_service import ServiceVoice, SpeechService
from multitalk.messages import Locale
from multitalk.schema.request import SERVICE_PREFIX
from multitalk.settings import Settings
from multitalk.speech.espeak import Gender, inventory, list_languages, parse_speaker
from multitalk.speech.text.languages import language_code

EITHER: tuple[Gender, ...] = ("female", "male")  # are names of voices, too

# How Kokoro names its voices: `af_sky` is an American woman's.
# https://huggingface.co/hexgrad/Kokoro-82M/blob/main/VOICES.md
_KOKORO_NAME = re.compile(r"([abefhijpz])([fm])_\w+")
_GENDERS: dict[str, Gender] = {"female": "female", "male": "male", "f": "female", "m": "male"}
_KOKORO_LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja",
    "p": "pt-br", "z": "cmn",
}  # fmt: skip


@dataclass(frozen=True)
class VoiceRecord:
    """One voice.

    Attributes:
        name: As a request's `voice`.
        gender: None where it is neither, or not known.
        languages: Codes of what it speaks; None where it speaks every language, or it is not known.
        recommended: Whether it is a plain voice that is good for any talk.
    """

    name: str
    gender: Gender | None
    languages: tuple[str, ...] | None = None
    recommended: bool = False

    def reply(self) -> dict[str, Any]:
        """The record as JSON has it."""
        return asdict(self)


def catalogue(settings: Settings, locale: Locale = "en") -> dict[str, Any]:
    """All voices: `{"languages", "voices", "warnings"}`, as `/voices` answers.

    Args:
        settings: For the operator's speech service, whose voices follow `female` and `male`.
        locale: Of the warnings, which say why a synthesizer's voices are missing.

    Raises:
        EngineUnavailable: There is no synthesizer, and no speech service either.
    """
    warnings = []
    found: list[VoiceRecord] = []
    languages: tuple[str, ...] = ()
    try:
        found, languages = list(own_voices()), list_languages()
    except EngineUnavailable as error:
        if settings.speech_url is None:
            raise
        warnings.append(error.text(locale))
    if settings.speech_url is not None:
        try:
            found[len(EITHER) : len(EITHER)] = service_voices(settings) or []
        except MultiTalkError as error:
            warnings.append(error.text(locale))
    return {
        "languages": list(languages),
        "voices": [record.reply() for record in found],
        "warnings": warnings,
    }


def own_voices() -> tuple[VoiceRecord, ...]:
    """The synthesizer's voices: `female` and `male`, then the recommended ones, then the others.

    Raises:
        EngineUnavailable: There is no synthesizer.
    """
    either = [VoiceRecord(gender, gender, recommended=True) for gender in EITHER]
    found = [parse_speaker(name, record) for name, record in inventory()["variants"].items()]
    speakers = [
        VoiceRecord(speaker.name, speaker.gender, recommended=speaker.recommended)
        for speaker in sorted(found, key=lambda speaker: speaker.rank)
    ]
    return (*either, *speakers)


def service_voices(settings: Settings) -> list[VoiceRecord] | None:
    """The voices of the operator's speech service; None where it lists none.

    Raises:
        SpeechUnavailable, SpeechFailed: It does not answer as it should.
    """
    listed = SpeechService(settings).voices()
    return None if listed is None else [_of_service(voice) for voice in listed]


def speaking(voices: Iterable[dict[str, Any]], language: str) -> list[dict[str, Any]]:
    """Those of the voices in a catalogue that speak a language, or may.

    Raises:
        InvalidRequest: No voice speaks it.
    """
    code = language_code(language)
    return [
        voice
        for voice in voices
        if voice["languages"] is None or code in map(_code_or_name, voice["languages"])
    ]


def _of_service(voice: ServiceVoice) -> VoiceRecord:
    gender = _GENDERS.get(str(voice.gender))
    stated = voice.languages if isinstance(voice.languages, list) else []
    languages = tuple(name for name in stated if isinstance(name, str))
    if named := _KOKORO_NAME.fullmatch(voice.name):
        gender = gender or _GENDERS[named[2]]
        languages = languages or (_KOKORO_LANGUAGES[named[1]],)
    return VoiceRecord(SERVICE_PREFIX + voice.name, gender, languages or None, True)


def _code_or_name(language: str) -> str:
    """The code of a language that a service names, or the name where it has none."""
    try:
        return language_code(language)
    except InvalidRequest:
        return language
