"""Links to videos that are good for a while, without a key: a browser's <video> cannot send one."""

import hashlib
import hmac
import secrets
from pathlib import Path

from multitalk.disk import write_atomically
from multitalk.errors import Unauthorized

SECRET_BYTES = 32
STEP_SECONDS = 3600.0  # links made within an hour are equal, so that browsers can keep videos
MAX_SECONDS = 86_400.0


def read_secret(path: Path) -> bytes:
    """The server's secret, made at the first start, readable for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():  # another process may still be first
        secret = secrets.token_hex(SECRET_BYTES).encode()
        write_atomically(path, secret, mode=0o600, overwrite=False)
    return bytes.fromhex(path.read_text("ascii"))


class UrlSigner:
    """Signs and checks links to videos.

    Args:
        secret: The server's.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"links to videos", "sha256")

    def query(self, job_id: str, *, now: float) -> str:
        """What is to stand after a link's `?`, good for a day."""
        expires = int(now // STEP_SECONDS * STEP_SECONDS + MAX_SECONDS)
        return f"expires={expires}&signature={self._signature(job_id, expires)}"

    def check(self, job_id: str, expires: str, signature: str, *, now: float) -> None:
        """Make sure that a link is ours and its time not over.

        Raises:
            Unauthorized: It is not, or it is.
        """
        right = expires.isascii() and expires.isdigit() and len(expires) < 15
        if right:
            expected = self._signature(job_id, int(expires))
            right = hmac.compare_digest(expected.encode(), signature.encode()) and now < int(
                expires
            )
        if not right:
            raise Unauthorized("link_refused")

    def _signature(self, job_id: str, expires: int) -> str:
        told = f"{job_id}\n{expires}".encode()
        return hmac.new(self._secret, told, hashlib.sha256).hexdigest()
