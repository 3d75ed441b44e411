"""The server's directory: what its files are called, and that one server only uses it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multitalk.errors import InvalidRequest
from multitalk.paths import PRIVATE_MARK
from multitalk.serving.api.keys import KeyRing
from multitalk.serving.api.private import make_directory, make_file

KEYS_FILE, SECRET_FILE, LEDGER_FILE, UPLOADS = "keys.json", "secret", "ledger.db", "uploads"
QUEUE_FILE, LOCK_FILE = "queue.db", "lock"
# Where earlier versions had it, below the directory that the command was started in.
FORMER = (Path("multitalk-data"), Path("out", "serve"))


def former_directories(used: Path) -> list[Path]:
    """Directories of earlier versions that have keys or jobs and are not the one in use."""
    return [
        place
        for place in FORMER
        if any((place / name).exists() for name in (KEYS_FILE, QUEUE_FILE))
        and place.resolve() != used.resolve()
    ]


def keys_of(data: Path) -> KeyRing:
    """The keys of a server."""
    return KeyRing(data / KEYS_FILE)


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
        make_directory(data)
        make_file(data / LOCK_FILE)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidRequest(
            "data_unusable", field="--data", directory=data, reason=reason
        ) from error


@contextmanager
def made_for_one_server(data: Path) -> Iterator[None]:
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
        make_file(data / PRIVATE_MARK)
        yield
