"""Signed URLs of videos, which need no key: a browser's <video> cannot send one."""

import hashlib
import hmac
import secrets
from pathlib import Path

from multitalk.disk import write_atomically
from multitalk.errors import Unauthorized

SECRET_BYTES = 32
STEP_SECONDS = 3600.0  # URLs of the same hour are equal, so that browsers can cache videos
MAX_SECONDS = 86_400.0


def read_secret(path: Path) -> bytes:
    """The server's secret, made at the first start, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():  # another process may still be first
        secret = secrets.token_hex(SECRET_BYTES).encode()
        write_atomically(path, secret, mode=0o600, overwrite=False)
    return bytes.fromhex(path.read_text("ascii"))


class UrlSigner:
    """Signs and checks URLs of videos.

    Args:
        secret: The server's.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"links to videos", "sha256")

    def query(self, job_id: str, *, now: float) -> str:
        """The query string of a signed URL, valid for a day."""
        expires = int(now // STEP_SECONDS * STEP_SECONDS + MAX_SECONDS)
        return f"expires={expires}&signature={self._signature(job_id, expires)}"

    def check(self, job_id: str, expires: str, signature: str, *, now: float) -> None:
        """Check a signed URL.

        Raises:
            Unauthorized: The signature is wrong, or it has expired.
        """
        valid = expires.isascii() and expires.isdigit() and len(expires) < 15
        if valid:
            expected = self._signature(job_id, int(expires))
            valid = hmac.compare_digest(expected.encode(), signature.encode()) and now < int(
                expires
            )
        if not valid:
            raise Unauthorized("link_refused")

    def _signature(self, job_id: str, expires: int) -> str:
        message = f"{job_id}\n{expires}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
