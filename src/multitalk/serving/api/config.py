"""The operator's configuration of one server, and whether it is safe to start with it."""

import ipaddress
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from multitalk.errors import InvalidRequest
from multitalk.net.address import DEFAULT_PORTS, VALID_PORTS
from multitalk.serving.api.access.keys import KeyRing

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
MEGABYTE = 10**6
DAY_SECONDS = 86_400.0
SHOWN_CHARACTERS = 80
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
# scheme://host[:port] and nothing else (RFC 6454, 6.2)
_ORIGIN = re.compile(
    rf"(https?)://({_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?", re.ASCII
)


@dataclass(frozen=True)
class ServeConfig:
    """The configuration of one server.

    Attributes:
        data: The server's directory: keys, secret, database, uploads.
        host: Address to listen on.
        base_url: Of the server from outside, without a trailing slash; None: from each request.
        cors_origins: Other origins whose pages may use the server.
        trusted_proxies: Addresses and networks of proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are trusted.
        rate_factor: Multiplies RunPod's rate limits; 0 switches them off.
        retention_seconds: How long a job is kept after its end.
        upload_seconds: How long an upload is kept.
        max_run_bytes: Of a body of `/run`.
        max_runsync_bytes: Of a body of `/runsync`, and of its answer.
        max_upload_bytes: Of one upload.
        quota_bytes: For uploads, jobs and videos of one key; None: no limit.
        price_per_hour: Of a worker, in the operator's currency; None: unknown.
        currency: Of the price.
        workers: How many workers the server starts itself.
        live_sessions: How many live sessions there may be; None: what the processor carries.
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
    workers: int = 0
    live_sessions: int | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        public = None if self.base_url is None else urlsplit(self.base_url).hostname
        return self.host in LOOPBACK and (self.base_url is None or public in LOOPBACK)


def check_exposure(config: ServeConfig, keys: KeyRing) -> None:
    """Refuse malformed addresses, and a server that others can reach without a key.

    Raises:
        InvalidRequest: Of `--base-url`, `--cors-origin`, `--trusted-proxy` or `--host`.
    """
    _check_addresses(config)
    if keys.is_in_use() or config.is_loopback:
        return
    is_host = config.host not in LOOPBACK
    raise InvalidRequest(
        "public_without_key",
        field="--host" if is_host else "--base-url",
        host=config.host if is_host else config.base_url,
        directory=shlex.quote(str(config.data)),
    )


def _check_addresses(config: ServeConfig) -> None:
    """Refuse malformed addresses."""
    for proxy in config.trusted_proxies:
        _check_proxy(proxy)
    if config.base_url is not None and not _is_origin(config.base_url):
        raise _origin_error("base_url_refused", "--base-url", config.base_url)
    for origin in config.cors_origins:
        if not _is_origin(origin):
            raise _origin_error("cors_origin_refused", "--cors-origin", origin)
        if (spelled := _as_browsers_send(origin)) != origin:
            raise InvalidRequest(
                "cors_origin_spelled", field="--cors-origin", value=origin, near=spelled
            )


def _check_proxy(proxy: str) -> None:
    try:
        ipaddress.ip_network(proxy)
    except ValueError:
        raise _origin_error("proxy_refused", "--trusted-proxy", proxy) from None


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if not found:
        return False
    host, port = found[2], found[3]
    if port is not None and int(port) not in VALID_PORTS:
        return False
    bare = host.strip("[]")
    if host.startswith("[") or bare.rpartition(".")[2].isdigit():
        try:
            return (ipaddress.ip_address(bare).version == 6) == host.startswith("[")
        except ValueError:
            return False
    return True


def _as_browsers_send(origin: str) -> str:
    """An origin as a browser's `Origin` header spells it."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{ipaddress.ip_address(host)}]"
    is_default = parts.port in (None, DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{parts.port}"


def _origin_error(key: str, field: str, value: str) -> InvalidRequest:
    shown = "".join(one if one.isprintable() else "?" for one in value[:SHOWN_CHARACTERS])
    return InvalidRequest(key, field=field, value=shown or '""')
