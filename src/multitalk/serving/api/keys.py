"""API keys: made, listed, revoked while the server runs; only their hashes are kept.

A key is 256 random bits. What makes slow hashes (scrypt, argon2) necessary is that people choose
passwords that can be guessed; nobody guesses one of 2^256 keys, however fast the hash. So SHA-256
keeps the keys from whoever reads the file, and costs a request a microsecond.
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

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """What is kept of a key.

    Attributes:
        id: Names it, and owns the jobs that are made with it.
        name: What its maker called it.
        sha256: Of the key, in hexadecimal.
        created: When, ISO 8601 in UTC.
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

    Once a ring has seen the file, a key is needed as long as the ring lives: a file that goes
    missing later opens nothing.

    Args:
        path: Of the file; it need not be there. While it is not, no key was ever made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: list[Key] = []
        self._is_in_use = False
        self._trouble: str | None = None

    def add(self, name: str) -> tuple[Key, str]:
        """Make a key.

        Returns:
            What is kept, and the key itself, which is told only now.

        Raises:
            InvalidRequest: The name cannot be shown as one row of a list.
        """
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
            shown = json.dumps(name[: MAX_NAME_CHARACTERS + 1])
            raise InvalidRequest(
                "key_name_refused", field="NAME", value=shown, limit=MAX_NAME_CHARACTERS
            )
        token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        key = Key(f"key-{secrets.token_hex(6)}", name, _digest(token), created)
        self._change(lambda keys: [*keys, key])
        return key, token

    def revoke(self, key_id: str) -> bool:
        """Forget a key, by its id; whether there was one. The file stays, even without keys."""
        found = any(key.id == key_id for key in self.listed())
        if found:
            self._change(lambda keys: [key for key in keys if key.id != key_id])
        return found

    def listed(self) -> list[Key]:
        """All keys, the oldest first, as the file has them now.

        Raises:
            OSError: The file is there, and cannot be read.
            ValueError: It is no list of keys.
            TypeError: The same.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, []
            return []
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is no file")
        seen = (state.st_mtime_ns, state.st_ino, state.st_size)
        if seen != self._seen:
            records = json.loads(self._path.read_text("utf-8"))
            if not isinstance(records, list):
                raise ValueError("it is no list")
            self._keys = [Key(**record) for record in records]
            self._seen = seen
        return self._keys

    def is_in_use(self) -> bool:
        """Whether a key was ever made: from then on nobody is served without one.

        Whatever is in the file's place counts, readable or not; and what was seen once counts
        although it is gone.
        """
        if not self._is_in_use:
            try:
                self._path.lstat()
                self._is_in_use = True
            except FileNotFoundError:
                pass
            except OSError:  # a directory that cannot be looked into may have keys
                self._is_in_use = True
        return self._is_in_use

    def owner(self, token: str) -> str | None:
        """Id of the key that `token` is, or None; takes as long for every wrong token.

        Raises:
            ServerUnavailable: Keys were made, and cannot be read now.
        """
        digest = _digest(token).encode()
        owner = None
        for key in self._readable():
            if hmac.compare_digest(key.sha256.encode("utf-8", "surrogatepass"), digest):
                owner = key.id
        return owner

    def _readable(self) -> list[Key]:
        """The keys; the log says once that they cannot be read, and once that they can again."""
        try:
            keys = self.listed()
            trouble = "it is gone" if self._seen is None and self.is_in_use() else None
        except OSError as error:
            trouble = error.strerror or type(error).__name__
        except (ValueError, TypeError, RecursionError) as error:
            trouble = f"it is damaged: {error}"
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble is None:
                logger.info("%s can be read again", self._path)
            else:
                logger.error("%s cannot be read, so no key is accepted: %s", self._path, trouble)
        if trouble is not None:
            raise ServerUnavailable("keys_unreadable")
        return keys

    def _change(self, change: Callable[[list[Key]], list[Key]]) -> None:
        with self._locked():
            self._seen = None
            records = [asdict(key) for key in change(self.listed())]
            write_atomically(self._path, json.dumps(records, indent=2).encode(), mode=FILE_MODE)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private_directory(self._path.parent)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def open_keys(data: Path) -> KeyRing:
    """The keys of a server."""
    return KeyRing(data / KEYS_FILE)
