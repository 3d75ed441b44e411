"""Finished windows of a talk in a file, from which another talk can continue.

The file is a NumPy archive: each window's latents as an array, and what the talk was made of.
Decoded again, latents give the same frames, from which the next window continues; they are
an eighth of the size of the window's new frames.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from multitalk.array_types import Array
from multitalk.errors import InvalidRequest

ABOUT = "talk.json"
VERSION = 1
FIELD = "continue_from"


class WindowWriter:
    """Writes a talk's windows as they come; a context manager."""

    def __init__(self, path: Path, about: Mapping[str, Any], *, max_bytes: int) -> None:
        """Begin a new file.

        Args:
            path: Of the file, which is not there yet.
            about: What the talk depends on, by the field of a request.
            max_bytes: Of all windows; the first that does not fit ends the file.
        """
        self._archive = zipfile.ZipFile(path, "x")
        self._archive.writestr(ABOUT, json.dumps({"version": VERSION, **about}))
        self._left = max_bytes
        self._written = 0

    def __enter__(self) -> "WindowWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()

    def add(self, latents: Array) -> bool:
        """Write the next window's latents, float32 [16, t, h, w]; False where they do not fit."""
        self._left -= latents.nbytes
        if self._left < 0:
            return False
        with self._archive.open(_name(self._written), "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.ascontiguousarray(latents), allow_pickle=False)
        self._written += 1
        return True


class SavedWindows:
    """The first windows of an earlier talk.

    It can be pickled: each process that shares a talk reads the file for itself.
    """

    def __init__(self, path: Path, windows: int, about: Mapping[str, Any]) -> None:
        """Open a file that `WindowWriter` has written.

        Args:
            path: Of the file.
            windows: How many are needed of it, at least 1.
            about: What the new talk depends on, to be equal to the earlier one's.

        Raises:
            InvalidRequest: The talk was made of something else, has fewer windows, or the file is
                damaged.
        """
        self._path, self._windows = path, windows
        try:
            with zipfile.ZipFile(path) as archive:
                earlier = json.loads(archive.read(ABOUT))
                there = len(archive.namelist()) - 1
            if earlier.pop("version") != VERSION:
                raise InvalidRequest("earlier_talk_unreadable", field=FIELD)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise InvalidRequest("earlier_talk_unreadable", field=FIELD) from error
        other = [name for name, value in about.items() if earlier.get(name) != value]
        if other:
            raise InvalidRequest("earlier_talk_differs", field=FIELD, fields=", ".join(other))
        if windows > there:
            raise InvalidRequest(
                "earlier_talk_shorter", field=f"{FIELD}.windows", count=there, value=str(windows)
            )

    def __len__(self) -> int:
        return self._windows

    def __getitem__(self, index: int, /) -> Array:
        """Latents of a window, float32 [16, t, h, w].

        Raises:
            InvalidRequest: The file is damaged.
        """
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(_name(index)) as member:
                latents: Array = np.lib.format.read_array(member, allow_pickle=False)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise InvalidRequest("earlier_talk_unreadable", field=FIELD) from error
        return latents


def _name(index: int) -> str:
    return f"{index:04}.npy"
