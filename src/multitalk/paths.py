"""Paths as people write them, and as the disk has them."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]

# A file in directories whose content no request may name, wherever they are.
PRIVATE_MARK = ".multitalk-private"


def as_meant(path: Path) -> Path:
    """A path that a person wrote: its `~` expanded, and in the spelling that the disk has."""
    return on_disk(at_home(path))


def at_home(path: Path) -> Path:
    """A path whose `~` is the directory of a user; as it is where there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def on_disk(path: Path, *, may_list: Callable[[Path], bool] = lambda _: True) -> Path:
    """A path in the spelling that the disk has.

    Unicode has two spellings of many letters, such as 한 or é: as one character (NFC) or in its
    parts (NFD). macOS writes the second one into archives and network drives; to Linux they are two
    names. A path that exists as written is taken first.

    Args:
        path: As it was written.
        may_list: Whether the names in a directory may be looked through.

    Returns:
        The same path, with each part spelled as its directory spells it; from the first part that
        is there in no spelling on, as it was written.
    """
    found = Path(path.anchor)
    for part in path.parts[1 if path.anchor else 0 :]:
        is_plain = part.isascii() or os.path.lexists(found / part)
        found /= part if is_plain or not may_list(found) else _spelling_on_disk(part, found)
    return found


def _spelling_on_disk(name: str, directory: Path) -> str:
    """A name as a directory has it; as it is where nothing there has this name."""
    normalized = unicodedata.normalize("NFC", name)
    try:
        there = [each.name for each in directory.iterdir() if _is_same(each.name, normalized)]
    except OSError:
        return name
    return min(there, default=name)


def _is_same(name: str, normalized: str) -> bool:
    return unicodedata.normalize("NFC", name) == normalized
