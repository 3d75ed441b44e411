"""How long recordings are. To be answered in a process of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multitalk.errors import LimitExceeded
from multitalk.inputs import collect
from multitalk.media.duration import sound_seconds
from multitalk.settings import Settings

ROUNDING_SECONDS = 0.1  # of packets, and of what a decoder drops


def prepare() -> None:
    """Nothing takes long but to import this module."""


def recordings(
    given: Mapping[str, Any], directory: Path, at: Callable[[str], None]
) -> dict[str, float | None]:
    """Seconds of each recording by field; None where its file does not say.

    A recording has a `path` that the server has looked up, or a `source` as the client wrote it,
    which is read as the worker would.
    """
    settings = Settings(
        allowed_roots=tuple(map(Path, given["allowed_roots"])),
        max_audio_bytes=given["max_audio_bytes"],
    )
    limit = given["max_speech_seconds"]
    found: dict[str, float | None] = {}
    for recording in given["recordings"]:
        field, path = recording["field"], recording["path"]
        at(field)
        if path is not None:
            seconds = sound_seconds(Path(path), field=field)
        else:
            source = recording["source"]
            copy = collect(
                source, field=field, kind="speech", directory=directory, settings=settings
            )
            seconds = sound_seconds(copy, field=field)
            copy.unlink()
        if seconds is not None and seconds > limit + ROUNDING_SECONDS:
            raise LimitExceeded("speech_too_long", field=field, limit=limit)
        found[field] = seconds
    return found
