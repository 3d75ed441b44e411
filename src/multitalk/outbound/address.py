"""Which hosts a worker may fetch from: the public internet, and what its operator allows (pure).

A request's URL is the caller's; the network that the worker stands in is not. So a host is
resolved here once, every address it has must be public or in a network that the operator allows,
and the connection is made to one of the addresses that were checked (see `fetch`): a second lookup
could answer something else.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from multitalk.errors import SourceRefused, SourceUnreachable
from multitalk.settings import Network

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]  # (host, port) -> addresses; OSError
DEFAULT_PORTS = {"http": 80, "https": 443}

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
# Services that give a machine's secrets to whoever asks from inside. One is reached only where the
# operator names its very address: a network around it may be allowed for quite another reason.
_SECRETIVE_NETWORK = ipaddress.IPv4Network("169.254.0.0/16")  # link-local: most are here
_SECRETIVE = frozenset(
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


def addresses_of(
    host: str, port: int, *, field: str, resolve: Resolver, networks: Sequence[Network]
) -> tuple[Address, ...]:
    """The addresses that may be connected to for `host`, at least one, in the resolver's order.

    Args:
        host: A name in ASCII (punycode) or an address, IPv6 without brackets.
        port: Passed on to the resolver.
        field: The request field it came from, for errors.
        resolve: Looks a name up; raises OSError where it cannot.
        networks: What may be reached beside the public internet.

    Raises:
        SourceRefused: Not a host's name, or one of its addresses may not be reached.
        SourceUnreachable: The name has no address.
    """
    name = host.lower().removesuffix(".")
    literal = _literal(name, field=field)
    is_here = _carried(literal).is_loopback if literal else _is_localhost(name)
    # Told apart only by what the caller wrote: what a name leads to is not the caller's to know.
    refused = SourceRefused(
        "loopback_refused" if is_here else "address_refused", field=field, host=shown(host)
    )
    if is_here and not any(network.is_loopback for network in networks):
        raise refused
    try:
        found = [literal] if literal else [_address(text) for text in resolve(name, port)]
    except (OSError, UnicodeError) as error:
        raise SourceUnreachable("host_unknown", field=field, host=shown(host)) from error
    if not found:
        raise SourceUnreachable("host_unknown", field=field, host=shown(host))
    if not all(is_allowed(address, networks) for address in found):
        raise refused
    return tuple(dict.fromkeys(found))


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether `address` is a public host's, or in one of the networks that are allowed."""
    host = _carried(address)
    if host in _SECRETIVE or host in _SECRETIVE_NETWORK:
        return any(host == network[0] and network.num_addresses == 1 for network in networks)
    if any(host in network for network in networks):
        return True
    if isinstance(host, ipaddress.IPv4Address):
        return not any(host in network for network in _SPECIAL_IPV4)
    return host in _GLOBAL_IPV6 and not any(host in network for network in _SPECIAL_IPV6)


def _carried(address: Address) -> Address:
    """The IPv4 address that an IPv6 address is another form of, or else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def shown(host: str) -> str:
    """A host for a message, cut to what fits in a line."""
    return host if len(host) <= 80 else host[:80] + "…"


def _literal(name: str, *, field: str) -> Address | None:
    """The address that `name` is, or None where it is a name.

    Raises:
        SourceRefused: Neither. Among them are `2130706433`, `0x7f.1` and `0177.0.0.1`, which the C
            library takes for 127.0.0.1 and others take for something else.
    """
    if ":" in name:
        try:
            return ipaddress.IPv6Address(name)
        except ValueError as error:
            raise SourceRefused("host_malformed", field=field, host=shown(name)) from error
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return ipaddress.IPv4Address(name)
        except ValueError as error:
            raise SourceRefused("host_malformed", field=field, host=shown(name)) from error
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise SourceRefused("host_malformed", field=field, host=shown(name))
    return None


def _is_localhost(name: str) -> bool:
    return name.rsplit(".", maxsplit=1)[-1] in ("localhost", "localdomain")


def _address(text: str) -> Address:
    """A resolver's answer; anything that is not an address is an OSError, as a failed lookup."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise OSError(f"the resolver answered {text!r}") from error
