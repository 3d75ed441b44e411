"""Some room on a disk that is kept for what must be written when the disk is full."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 4 * 2**20  # SQLite's log, at its usual length
RESERVE_SHARE = 20  # of a small disk, no more than one in so many bytes
ROOM = 4  # times the reserve must be free before it is laid by


class Reserve:
    """A file that takes room, and is removed when that is needed.

    Several processes may have the same one; it is one file.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def let_go(self) -> bool:
        """Give the room back; whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def lay_by(self) -> None:
        """Take the room again, if it is not taken and the disk has plenty."""
        if self._path.exists():
            return
        usage = shutil.disk_usage(self._path.parent)
        size = min(RESERVE_BYTES, usage.total // RESERVE_SHARE)
        if usage.free < ROOM * size:
            return
        partial = self._path.with_name(f"{self._path.name}-{secrets.token_hex(4)}")
        try:
            with os.fdopen(
                os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb"
            ) as file:
                file.write(os.urandom(size))  # what no file system can make smaller
            partial.replace(self._path)
        except OSError:  # another time
            with suppress(OSError):
                partial.unlink(missing_ok=True)
