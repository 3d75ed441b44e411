"""How long texts last, and what they sound like. To be answered in a process of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multitalk.errors import EngineUnavailable, LimitExceeded
from multitalk.media.sound_file import encode_sound
from multitalk.schema import SpokenText
from multitalk.serving.reader.lengths import lengths_of
from multitalk.serving.reader.made import SPEECH
from multitalk.serving.reader.told import told_notices
from multitalk.speech.espeak import inventory
from multitalk.speech.latin import latin_language
from multitalk.speech.narration import narrate

SURELY = 1.25  # times the limit: an estimate that is above it is too long for certain


def prepare() -> None:
    """Load what takes long: the list of voices, and the statistics of languages."""
    try:
        inventory()
    except EngineUnavailable:
        return  # whoever asks is told
    latin_language("a word")


def lengths(
    given: Mapping[str, Any], _: Path, at: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Seconds of each speaker's texts by field, None where nothing tells; and notices.

    `speakers` are fields with their texts. `outside` are those of them whose voices are a speech
    service's, which is not asked: the synthesizer speaks in its place.
    """
    speakers = {
        field: [SpokenText.model_validate(text) for text in texts]
        for field, texts in given["speakers"].items()
    }
    limit = given["max_speech_seconds"]
    found: dict[str, dict[str, Any]] = {}
    for field, length in lengths_of(speakers, may_fail=given["outside"], at=at).items():
        most = limit if length.is_exact else SURELY * limit
        if length.seconds is not None and length.seconds > most:
            raise LimitExceeded("speech_too_long", field=field, limit=limit)
        found[field] = {"seconds": length.seconds, "notices": told_notices(length.notices)}
    return found


def speech(given: Mapping[str, Any], directory: Path, at: Callable[[str], None]) -> object:
    """A text as a sound file in `directory`; notices."""
    field, format_name = given["field"], given["format"]
    at(field)
    spoken = narrate([SpokenText.model_validate(given["text"])], field=field, for_face=False)
    sound = encode_sound(spoken.samples, spoken.sample_rate, format_name)
    (directory / SPEECH).write_bytes(sound)
    return told_notices(spoken.notices)
