"""The server's directory: private to its owner, used by one server at a time."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multitalk.errors import InvalidRequest
from multitalk.paths import PRIVATE_MARK

KEYS_FILE, SECRET_FILE, DATABASE_FILE, UPLOADS = "keys.json", "secret", "ledger.db", "uploads"
QUEUE_FILE, LOCK_FILE = "queue.db", "lock"
# Where earlier versions had it, below the directory that the command was started in.
FORMER = (Path("multitalk-data"), Path("out", "serve"))
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
OTHERS = 0o077  # what group and world may do


def former_directories(used: Path) -> list[Path]:
    """Directories of earlier versions that have keys or jobs and are not the one in use."""
    return [
        place
        for place in FORMER
        if any((place / name).exists() for name in (KEYS_FILE, QUEUE_FILE))
        and place.resolve() != used.resolve()
    ]


def is_in_use(data: Path) -> bool:
    """Whether a server runs in a directory."""
    try:
        with (data / LOCK_FILE).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no server was ever here
        return False
    return False


def make_data_directory(data: Path) -> None:
    """Make a server's directory if it is not there.

    Raises:
        InvalidRequest: It is no directory, or cannot be written.
    """
    try:
        make_private_directory(data)
        make_private_file(data / LOCK_FILE)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidRequest(
            "data_unusable", field="--data", directory=data, reason=reason
        ) from error


@contextmanager
def lock_data_directory(data: Path) -> Iterator[None]:
    """Make a directory if it is not there, and keep other servers off it.

    Raises:
        InvalidRequest: Another one has it, or it cannot be written.
    """
    make_data_directory(data)
    with (data / LOCK_FILE).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidRequest("data_in_use", field="--data", directory=data) from error
        make_private_file(data / PRIVATE_MARK)
        yield


def make_private_directory(path: Path) -> None:
    """Make a directory of ours where there is none.

    One that was there before is made private while it is empty. Later it is left as it is, for it
    may be shared on purpose, or be a directory such as /tmp; what is in it is private by itself.

    Raises:
        OSError: It is no directory, or cannot be made.
    """
    path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    state = path.stat()
    if is_open_to_others(path) and state.st_uid == os.geteuid() and not any(path.iterdir()):
        path.chmod(DIRECTORY_MODE)


def is_open_to_others(path: Path) -> bool:
    """Whether others than its owner may do something with a file or directory."""
    return bool(path.stat().st_mode & OTHERS)


def make_private_file(path: Path) -> None:
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
