"""Which hosts may be reached: the public internet, and networks that the operator allows.

A request's URL is the caller's choice; the worker's network is not the caller's to use. So a host
is resolved here once, each of its addresses must be public or in an allowed network, and the
connection is made to one of the checked addresses (`net.client`): a second lookup could return
another address (DNS rebinding).
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from multitalk.errors import SourceRefused, SourceUnreachable
from multitalk.net.deadline import Deadline, run_in_daemon_thread
from multitalk.settings import Network

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]  # (host, port) -> addresses; OSError
DEFAULT_PORTS = {"http": 80, "https": 443}
VALID_PORTS = range(1, 2**16)

# IANA IPv4 Special-Purpose Address Registry (and multicast): all that is not a public host.
_SPECIAL_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and every cloud's metadata service
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocols
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "168.63.129.16/32",  # Azure's platform service, public in form only
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Global unicast is 2000::/3; these are the parts of it that are not public hosts.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocols: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
# Metadata services, which give a machine's credentials to any process on it. One is reached only
# where the operator allows its exact address: a network around it may be allowed for other reasons.
_METADATA_NETWORK = ipaddress.IPv4Network("169.254.0.0/16")  # link-local: most are here
_METADATA_HOSTS = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "168.63.129.16",  # Azure's platform
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud, classic
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS, credentials of pods
        "fd20:ce::254",  # Google Cloud
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # carries an IPv4 address in its last 32 bits

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def system_resolver(host: str, port: int) -> Sequence[str]:
    """A host's addresses from the operating system, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def resolve_within(resolve: Resolver, deadline: Deadline) -> Resolver:
    """A resolver that ends with a deadline: the system's lookup has no time limit."""

    def look_up(host: str, port: int) -> Sequence[str]:
        found = run_in_daemon_thread(lambda: resolve(host, port), name="resolver")
        return deadline.wait_for(found)

    return look_up


def resolved_addresses(
    host: str, port: int, *, field: str | None, resolve: Resolver
) -> tuple[Address, ...]:
    """All addresses of a host of the operator's choice, unchecked.

    Raises:
        SourceUnreachable: The name has no address.
    """
    try:
        found = tuple(_address(text) for text in resolve(host, port))
    except (OSError, UnicodeError) as error:
        raise SourceUnreachable("host_unknown", field=field, host=host_text(host)) from error
    if not found:
        raise SourceUnreachable("host_unknown", field=field, host=host_text(host))
    return tuple(dict.fromkeys(found))


def checked_addresses(
    host: str, port: int, *, field: str | None, resolve: Resolver, networks: Sequence[Network]
) -> tuple[Address, ...]:
    """The addresses of a host of the caller's choice, at least one, in the resolver's order.

    Args:
        host: A name in ASCII (punycode) or an address, IPv6 without brackets.
        port: Passed on to the resolver.
        field: The request field it came from, for errors.
        resolve: Looks a name up; raises OSError where it cannot.
        networks: Networks that may be reached besides public hosts.

    Raises:
        SourceRefused: Not a host's name, or one of its addresses may not be reached.
        SourceUnreachable: The name has no address.
    """
    name = host.lower().removesuffix(".")
    literal = _literal(name, field=field)
    is_here = _embedded_ipv4(literal).is_loopback if literal else _is_localhost(name)
    # The error depends on the text only: it must not reveal what a name resolves to.
    refused = SourceRefused(
        "loopback_refused" if is_here else "address_refused", field=field, host=host_text(host)
    )
    if is_here and not any(network.is_loopback for network in networks):
        raise refused
    found = (literal,) if literal else resolved_addresses(name, port, field=field, resolve=resolve)
    if not all(is_allowed(address, networks) for address in found):
        raise refused
    return found


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address is public, or in one of the allowed networks."""
    host = _embedded_ipv4(address)
    if host in _METADATA_HOSTS or host in _METADATA_NETWORK:
        return ipaddress.ip_network(host) in networks
    return _is_in(host, networks) or _is_public(host)


def _is_public(host: Address) -> bool:
    if isinstance(host, ipaddress.IPv4Address):
        return not _is_in(host, _SPECIAL_IPV4)
    return host in _GLOBAL_IPV6 and not _is_in(host, _SPECIAL_IPV6)


def _is_in(host: Address, networks: Sequence[Network]) -> bool:
    return any(host in network for network in networks)


def _embedded_ipv4(address: Address) -> Address:
    """The IPv4 address that is embedded in an IPv6 address, or else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def host_text(host: str) -> str:
    """A host for a message, shortened to fit in a line."""
    return host if len(host) <= 80 else host[:80] + "…"


def _literal(name: str, *, field: str | None) -> Address | None:
    """`name` as an address, or None where it is a host name.

    Raises:
        SourceRefused: Neither, such as `2130706433`, `0x7f.1` and `0177.0.0.1`, which the C library
            reads as 127.0.0.1 and others read differently.
    """
    labels = name.split(".")
    try:
        if ":" in name:
            return ipaddress.IPv6Address(name)
        if _NUMBER.fullmatch(labels[-1]):
            return ipaddress.IPv4Address(name)
        if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
            raise ValueError("not a host's name")
    except ValueError as error:
        raise SourceRefused("host_malformed", field=field, host=host_text(name)) from error
    return None


def _is_localhost(name: str) -> bool:
    return name.rsplit(".", maxsplit=1)[-1] in ("localhost", "localdomain")


def _address(text: str) -> Address:
    """An address from a resolver; OSError, as for a failed lookup, if it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise OSError(f"the resolver answered {text!r}") from error
