"""Files that a reading process leaves in its directory, taken as what a stranger may have left."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

SMALL_PICTURE = "small.jpg"
SPEECH = "speech.sound"


def opened(directory: Path, name: str) -> BinaryIO:
    """A file in a question's directory.

    Raises:
        OSError: There is none that is only there, and no link.
    """
    descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        file.close()
        raise OSError(f"{name} is not the file that was to be made")
    return file


def taken(directory: Path, name: str) -> bytes:
    """The content of such a file."""
    with opened(directory, name) as file:
        return file.read()
