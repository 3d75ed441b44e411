"""A host's addresses from the operating system, within a patience."""

import socket
from collections.abc import Sequence
from concurrent.futures import wait

from multitalk.outbound.address import Resolver
from multitalk.outbound.apart import apart
from multitalk.outbound.connection import POLL_SECONDS, Patience


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The operating system's answer: the host's addresses, the preferred first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def patiently(resolve: Resolver, patience: Patience) -> Resolver:
    """The same lookup, ended with the patience.

    It is made in a thread: the operating system's lookup has no time limit of its own.
    """

    def look_up(host: str, port: int) -> Sequence[str]:
        answer = apart(lambda: resolve(host, port), name="resolver")
        while not answer.done():
            wait([answer], timeout=min(POLL_SECONDS, patience.left()))
        return answer.result()

    return look_up
