"""API keys: made, listed, revoked while the server runs; only their hashes are kept.

A key is 256 random bits, so it cannot be guessed, and SHA-256 protects it as well as the slow
hashes (scrypt, argon2) that passwords need; it costs a request a microsecond.
"""

import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from multitalk.disk import write_atomically
from multitalk.errors import InvalidRequest, ServerUnavailable
from multitalk.serving.api.data_directory import FILE_MODE, KEYS_FILE, make_private_directory

TOKEN_BYTES = 32
TOKEN_PREFIX = "mt_"  # noqa: S105 - so that a leaked key is recognised as one
MAX_NAME_CHARACTERS = 100
GIVEN_OWNER = "key-given"  # of what is sent with the key of the settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """The record of a key.

    Attributes:
        id: Its id, the owner of the jobs that are sent with it.
        name: Given by the operator.
        sha256: Of the key, in hexadecimal.
        created: Time, ISO 8601 in UTC.
    """

    id: str
    name: str
    sha256: str
    created: str

    def __post_init__(self) -> None:
        if not all(isinstance(value, str) for value in asdict(self).values()):
            raise TypeError("a key's values are texts")


class KeyRing:
    """The keys of one server, in a file that several processes may change.

    Once a ring has seen the file, it requires a key for good: a file that disappears later does not
    open the server.

    Args:
        path: Of the file; while it does not exist, no key was ever made.
        given: One more key, which is in no file.
    """

    def __init__(self, path: Path, given: str | None = None) -> None:
        self._path = path
        self._given = None if given is None else _digest(given)
        self._file_state: tuple[int, int, int] | None = None
        self._cached: list[Key] = []
        self._is_in_use = False
        self._problem: str | None = None

    def add(self, name: str) -> tuple[Key, str]:
        """Make a key.

        Returns:
            The record, and the key itself, which is not stored.

        Raises:
            InvalidRequest: The name is empty, too long or not printable.
        """
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
            shown = json.dumps(name[: MAX_NAME_CHARACTERS + 1])
            raise InvalidRequest(
                "key_name_refused", field="NAME", value=shown, limit=MAX_NAME_CHARACTERS
            )
        token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        key = Key(f"key-{secrets.token_hex(6)}", name, _digest(token), created)
        self._rewrite(lambda keys: [*keys, key])
        return key, token

    def revoke(self, key_id: str) -> bool:
        """Delete a key by its id; whether there was one. The file stays, even without keys."""
        found = any(key.id == key_id for key in self.records())
        if found:
            self._rewrite(lambda keys: [key for key in keys if key.id != key_id])
        return found

    def records(self) -> list[Key]:
        """All keys in the file, the oldest first.

        Raises:
            OSError: The file exists and cannot be read.
            ValueError: It is not a list of keys.
            TypeError: The same.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._file_state, self._cached = None, []
            return []
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is no file")
        file_state = (state.st_mtime_ns, state.st_ino, state.st_size)
        if file_state != self._file_state:
            records = json.loads(self._path.read_text("utf-8"))
            if not isinstance(records, list):
                raise ValueError("it is no list")
            self._cached = [Key(**record) for record in records]
            self._file_state = file_state
        return self._cached

    def is_in_use(self) -> bool:
        """Whether one was given or ever made: from then on every request needs one.

        The file counts whether it is readable or not, and also if it has disappeared since.
        """
        return self._given is not None or self._had_file()

    def _had_file(self) -> bool:
        if not self._is_in_use:
            try:
                self._path.lstat()
                self._is_in_use = True
            except FileNotFoundError:
                pass
            except OSError:  # an unreadable directory may have keys
                self._is_in_use = True
        return self._is_in_use

    def owner(self, token: str) -> str | None:
        """Id of the key `token`, or None, in constant time.

        Raises:
            ServerUnavailable: The keys cannot be read.
        """
        digest = _digest(token).encode()
        owner = None
        if self._given is not None and hmac.compare_digest(self._given.encode(), digest):
            owner = GIVEN_OWNER
        for key in self._checked_keys():
            if hmac.compare_digest(key.sha256.encode("utf-8", "surrogatepass"), digest):
                owner = key.id
        return owner

    def _checked_keys(self) -> list[Key]:
        """The keys; ServerUnavailable where they cannot be read, which is logged."""
        try:
            keys = self.records()
            problem = "it is gone" if self._file_state is None and self._had_file() else None
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except (ValueError, TypeError, RecursionError) as error:
            problem = f"it is damaged: {error}"
        self._note(problem)
        if problem is not None:
            raise ServerUnavailable("keys_unreadable")
        return keys

    def _note(self, problem: str | None) -> None:
        """Log a problem, or its end, once."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            logger.info("%s can be read again", self._path)
        else:
            logger.error("%s cannot be read, so no key is accepted: %s", self._path, problem)

    def _rewrite(self, change: Callable[[list[Key]], list[Key]]) -> None:
        with self._lock_file():
            self._file_state = None
            records = [asdict(key) for key in change(self.records())]
            write_atomically(self._path, json.dumps(records, indent=2).encode(), mode=FILE_MODE)

    @contextmanager
    def _lock_file(self) -> Iterator[None]:
        make_private_directory(self._path.parent)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def open_keys(data: Path, given: str | None = None) -> KeyRing:
    """The keys of the server with this directory, and one that is in no file."""
    return KeyRing(data / KEYS_FILE, given)
