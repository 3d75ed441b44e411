"""API keys: made, listed, revoked while the server runs; only their hashes are kept.

A key is 256 random bits. What makes slow hashes (scrypt, argon2) necessary is that people choose
passwords that can be guessed; nobody guesses one of 2^256 keys, however fast the hash. So SHA-256
keeps the keys from whoever reads the file, and costs a request a microsecond.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

TOKEN_BYTES = 32
TOKEN_PREFIX = "mt_"  # noqa: S105 - so that a leaked key is recognised as one
PRIVATE = 0o600


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


class KeyRing:
    """The keys of one server, in a file that several processes may change.

    Args:
        path: Of the file; it need not be there. While it is not, no key was ever made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: list[Key] = []

    def add(self, name: str) -> tuple[Key, str]:
        """Make a key.

        Returns:
            What is kept, and the key itself, which is told only now.
        """
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
        """All keys, the oldest first, as the file has them now."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, []
            return []
        seen = (state.st_mtime_ns, state.st_ino, state.st_size)
        if seen != self._seen:
            records = json.loads(self._path.read_text("utf-8"))
            self._keys = [Key(**record) for record in records]
            self._seen = seen
        return self._keys

    def is_in_use(self) -> bool:
        """Whether a key was ever made: from then on nobody is served without one."""
        return self._path.exists()

    def owner(self, token: str) -> str | None:
        """Id of the key that `token` is, or None; takes as long for every wrong token."""
        digest = _digest(token)
        owner = None
        for key in self.listed():
            if hmac.compare_digest(key.sha256, digest):
                owner = key.id
        return owner

    def _change(self, change: Callable[[list[Key]], list[Key]]) -> None:
        with self._locked():
            self._seen = None
            records = [asdict(key) for key in change(self.listed())]
            # mkstemp makes it readable for its owner only
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=".keys-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(records, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # As the server makes it, which keeps jobs and videos there, too
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, PRIVATE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
