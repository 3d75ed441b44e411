"""To whom a server is open: its address, its base URL and its CORS origins, judged at the start."""

import ipaddress
import re
import shlex
from urllib.parse import urlsplit

from multitalk.errors import InvalidRequest
from multitalk.outbound.address import DEFAULT_PORTS
from multitalk.serving.api.config import LOOPBACK, ServeConfig
from multitalk.serving.api.keys import KeyRing

MAX_PORT = 65_535
SHOWN_CHARACTERS = 80
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
# scheme://host[:port] and nothing else (RFC 6454, 6.2)
_ORIGIN = re.compile(
    rf"(https?)://({_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?", re.ASCII
)


def check_exposure(config: ServeConfig, keys: KeyRing) -> None:
    """Refuse addresses that are none, and to be open to other machines without a key.

    Raises:
        InvalidRequest: Of `--base-url`, `--cors-origin`, `--trusted-proxy` or `--host`.
    """
    for proxy in config.trusted_proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise _refused("proxy_refused", "--trusted-proxy", proxy) from None
    if config.base_url is not None and not _is_origin(config.base_url):
        raise _refused("base_url_refused", "--base-url", config.base_url)
    for origin in config.cors_origins:
        if not _is_origin(origin):
            raise _refused("cors_origin_refused", "--cors-origin", origin)
        if (sent := _as_browsers_send(origin)) != origin:
            raise InvalidRequest(
                "cors_origin_spelled", field="--cors-origin", value=origin, near=sent
            )
    if keys.is_in_use():
        return
    place = shlex.quote(str(config.data))
    if config.host not in LOOPBACK:
        raise InvalidRequest(
            "public_without_key", field="--host", host=config.host, directory=place
        )
    if not config.is_loopback:
        raise InvalidRequest(
            "public_without_key", field="--base-url", host=config.base_url, directory=place
        )


def is_loopback_peer(client: tuple[str, int] | None) -> bool:
    """Whether the other end of a connection is this machine's own."""
    if client is None:
        return False
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # of an IPv6 address that stands for an IPv4 one
    return (mapped or address).is_loopback


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if not found:
        return False
    host, port = found[2], found[3]
    if port is not None and not 0 < int(port) <= MAX_PORT:
        return False
    bare = host.strip("[]")
    if host.startswith("[") or bare.rpartition(".")[2].isdigit():
        try:
            return (ipaddress.ip_address(bare).version == 6) == host.startswith("[")
        except ValueError:
            return False
    return True


def _as_browsers_send(origin: str) -> str:
    """The same origin as a browser's `Origin` header has it."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{ipaddress.ip_address(host)}]"
    is_default = parts.port in (None, DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{parts.port}"


def _refused(key: str, field: str, value: str) -> InvalidRequest:
    shown = "".join(one if one.isprintable() else "?" for one in value[:SHOWN_CHARACTERS])
    return InvalidRequest(key, field=field, value=shown or '""')
