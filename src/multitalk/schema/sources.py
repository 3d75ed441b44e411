"""The sources that a request names: a portrait, and a recording for each speaker."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

UPLOAD_SCHEME = "upload:"  # of a file that the server keeps; see `serving.api.uploads`


def voice_field(speaker: str) -> str:
    """The request's field of a speaker's voice."""
    return f"audio_paths.{speaker}"


def is_upload(source: str) -> bool:
    """Whether a source names an uploaded file."""
    return source.strip().startswith(UPLOAD_SCHEME)


def named_sources(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each source of a job's input with its field; texts to be spoken and malformed values not."""
    image, voices = given.get("image_path"), given.get("audio_paths")
    if isinstance(image, str):
        yield "image_path", image
    if isinstance(voices, Mapping):
        for speaker, voice in voices.items():
            if isinstance(voice, str):
                yield voice_field(speaker), voice


def map_sources(given: Mapping[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    """A job's input with each source replaced.

    Args:
        given: The input; malformed values stay as they are.
        change: From a field and its source to the new source.
    """
    changed = dict(given)
    new = {field: change(field, source) for field, source in named_sources(given)}
    if "image_path" in new:
        changed["image_path"] = new["image_path"]
    if isinstance(given.get("audio_paths"), Mapping):
        changed["audio_paths"] = {
            speaker: new.get(voice_field(speaker), voice)
            for speaker, voice in given["audio_paths"].items()
        }
    return changed
