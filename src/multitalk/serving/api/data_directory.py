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
# Of earlier versions, below the working directory.
FORMER_DIRECTORIES = (Path("multitalk-data"), Path("out", "serve"))
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
OTHERS_MASK = 0o077  # rights of group and world


def former_directories(used: Path) -> list[Path]:
    """Directories of earlier versions with keys or jobs, other than the one in use."""
    return [
        directory
        for directory in FORMER_DIRECTORIES
        if any((directory / name).exists() for name in (KEYS_FILE, QUEUE_FILE))
        and directory.resolve() != used.resolve()
    ]


def is_in_use(data: Path) -> bool:
    """Whether a server runs in a directory."""
    try:
        with (data / LOCK_FILE).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no server has used it
        return False
    return False


def make_data_directory(data: Path) -> None:
    """Make a server's directory if it does not exist.

    Raises:
        InvalidRequest: It is not a directory, or cannot be written.
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
    """Lock a server's directory, which is made if it does not exist.

    Raises:
        InvalidRequest: Another server uses it, or it cannot be written.
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
    """Make a private directory if it does not exist.

    An existing one is made private only while it is empty: it may be shared on purpose, or be a
    directory such as /tmp. The files in it are private themselves.

    Raises:
        OSError: It is not a directory, or cannot be made.
    """
    path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    state = path.stat()
    if is_open_to_others(path) and state.st_uid == os.geteuid() and not any(path.iterdir()):
        path.chmod(DIRECTORY_MODE)


def is_open_to_others(path: Path) -> bool:
    """Whether group or world have any access to a file or directory."""
    return bool(path.stat().st_mode & OTHERS_MASK)


def make_private_file(path: Path) -> None:
    """Make a private file, or make the owner's existing one private.

    Raises:
        OSError: It is not a file, or cannot be made.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE)
    try:
        state = os.fstat(descriptor)
        if (
            state.st_mode & OTHERS_MASK
            and state.st_uid == os.geteuid()
            and stat.S_ISREG(state.st_mode)
        ):
            os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)
