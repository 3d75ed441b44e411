"""What a list of jobs shows of one, taken from its input when it is sent."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_TITLE_CHARACTERS = 80
UPLOAD = "upload:"  # a source that is one of the job's files in the media store


def title_of(given: object) -> str:
    """The first words that an input has somebody say; empty where all voices are recordings."""
    for text in _texts(given):
        words = " ".join(text[: 4 * MAX_TITLE_CHARACTERS].split())
        if words:
            return words[:MAX_TITLE_CHARACTERS].rstrip()
    return ""


def portrait_of(given: object) -> str | None:
    """Name in the media store of an input's picture, if it came as an upload."""
    source = given.get("image_path") if isinstance(given, Mapping) else None
    if isinstance(source, str) and source.startswith(UPLOAD):
        return source.removeprefix(UPLOAD)
    return None


def _texts(given: object) -> Iterator[str]:
    """Every text to be spoken, in order, of an input that nobody has checked yet."""
    voices: Any = given.get("audio_paths") if isinstance(given, Mapping) else None
    for voice in voices.values() if isinstance(voices, Mapping) else ():
        for text in voice if isinstance(voice, list) else [voice]:
            if isinstance(text, Mapping) and isinstance(text.get("text"), str):
                yield text["text"]
