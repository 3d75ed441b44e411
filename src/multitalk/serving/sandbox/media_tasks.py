"""Sandboxed tasks on media: faces, a small copy of a picture, lengths, marks and manifests."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multitalk.errors import LimitExceeded
from multitalk.face.detector import FaceDetector
from multitalk.face.listing import list_faces
from multitalk.inputs import collect
from multitalk.media.audio_tracks import sound_seconds
from multitalk.media.image import Picture, load_picture
from multitalk.media.thumbnail import write_thumbnail
from multitalk.messages import locale_named
from multitalk.provenance import inspect_video
from multitalk.serving.sandbox.ipc import THUMBNAIL_FILE
from multitalk.settings import Settings

ROUNDING_SECONDS = 0.1  # of packets, and of what a decoder drops


def prepare() -> None:
    """Nothing: the libraries are loaded with this module."""


def faces(given: Mapping[str, Any], _: Path, at: Callable[[str], None]) -> object:
    """The faces of a picture: the body of `/faces`."""
    picture = _picture(given, at)
    with FaceDetector() as detector:
        return list_faces(detector, picture, speakers=given["speakers"]).reply()


def small_picture(given: Mapping[str, Any], directory: Path, at: Callable[[str], None]) -> object:
    """The picture as a small JPEG in `directory`."""
    picture = _picture(given, at)
    write_thumbnail(picture.pixels, directory / THUMBNAIL_FILE)
    return None


def inspection(given: Mapping[str, Any], _: Path, at: Callable[[str], None]) -> object:
    """The provenance of a file, as `/v1/inspect` answers."""
    at(given["field"])
    found = inspect_video(Path(given["path"]), field=given["field"])
    return found.reply(locale_named(given["locale"]))


def _picture(given: Mapping[str, Any], at: Callable[[str], None]) -> Picture:
    at(given["field"])
    path, field = Path(given["path"]), given["field"]
    return load_picture(path, field=field, max_pixels=given["max_pixels"])


def recordings(
    given: Mapping[str, Any], directory: Path, at: Callable[[str], None]
) -> dict[str, float | None]:
    """Seconds of each recording by field; None where its file does not state them.

    A recording has the `path` of its upload; without one, the request's `source` has its bytes.
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
