"""What the operator decides about one server, beside the settings that all doors share."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

MEGABYTE = 10**6
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class ServeConfig:
    """One server.

    Attributes:
        data: Directory of the server's own: keys, secret, ledger, uploads.
        host: Address that is listened at.
        base_url: How the server is reached from outside, without a slash at its end; told from
            each request where it is None.
        cors_origins: Pages of other addresses that may use the server.
        trusted_proxies: Addresses and networks of proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed.
        rate_factor: Multiplies RunPod's rate limits; 0 switches them off.
        retention_seconds: How long a job is remembered after its end.
        upload_seconds: How long an upload is kept.
        max_run_bytes: Body of `/run`.
        max_runsync_bytes: Body of `/runsync`, and its answer.
        max_upload_bytes: One upload.
        quota_bytes: What one key may have stored in uploads, jobs and videos; None: no limit.
        price_per_hour: Of a worker, in the operator's currency; None: unknown.
        currency: Its name.
    """

    data: Path
    host: str = "127.0.0.1"
    base_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    rate_factor: float = 1.0
    retention_seconds: float = 7 * DAY_SECONDS
    upload_seconds: float = DAY_SECONDS
    max_run_bytes: int = 10 * MEGABYTE
    max_runsync_bytes: int = 20 * MEGABYTE
    max_upload_bytes: int = 512 * 2**20
    quota_bytes: int | None = 20_000 * MEGABYTE
    price_per_hour: float | None = None
    currency: str = "USD"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        told = None if self.base_url is None else urlsplit(self.base_url).hostname
        return self.host in LOOPBACK and (self.base_url is None or told in LOOPBACK)


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
