"""Files and directories that only their owner may read, whichever command makes them first."""

import os
import stat
from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
OTHERS = 0o077  # what group and world may do


def make_directory(path: Path) -> None:
    """Make a directory of ours where there is none.

    One that was there before is made private while it is empty. Later it is left as it is, for it
    may be shared on purpose, or be a directory such as /tmp; what is in it is private by itself.

    Raises:
        OSError: It is no directory, or cannot be made.
    """
    path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    state = path.stat()
    if is_open(path) and state.st_uid == os.geteuid() and not any(path.iterdir()):
        path.chmod(DIRECTORY_MODE)


def is_open(path: Path) -> bool:
    """Whether others than its owner may do something with a file or directory."""
    return bool(path.stat().st_mode & OTHERS)


def make_file(path: Path) -> None:
    """Make a file where there is none; take one of ours back from others.

    Raises:
        OSError: It is no file, or cannot be made.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE)
    try:
        state = os.fstat(descriptor)
        if state.st_mode & OTHERS and state.st_uid == os.geteuid() and stat.S_ISREG(state.st_mode):
            os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)
