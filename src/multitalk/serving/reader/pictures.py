"""Questions about a picture. To be answered in a process of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multitalk.face.landmarks import FaceDetector
from multitalk.face.listing import list_faces
from multitalk.media.image import load_picture
from multitalk.media.picture import Picture
from multitalk.media.still import write_small
from multitalk.serving.reader.made import SMALL_PICTURE


def prepare() -> None:
    """Nothing: what takes long is loaded with this module."""


def faces(given: Mapping[str, Any], _: Path, at: Callable[[str], None]) -> object:
    """The faces of a picture, as `/faces` answers."""
    picture = _picture(given, at)
    with FaceDetector() as detector:
        return list_faces(detector, picture, speakers=given["speakers"]).reply()


def small_picture(given: Mapping[str, Any], directory: Path, at: Callable[[str], None]) -> object:
    """The picture as a small JPEG in `directory`."""
    picture = _picture(given, at)
    write_small(picture.pixels, directory / SMALL_PICTURE)
    return None


def _picture(given: Mapping[str, Any], at: Callable[[str], None]) -> Picture:
    at(given["field"])
    path, field = Path(given["path"]), given["field"]
    return load_picture(path, field=field, max_pixels=given["max_pixels"])
