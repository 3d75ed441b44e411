"""The address that a server listens at."""

import errno
import ipaddress
import socket

from multitalk.errors import InvalidRequest
from multitalk.serving.api.config import ServeConfig

MAX_PORT = 65_535
UNREAD_SECONDS = 60  # after which a client that takes nothing of an answer is gone
FIRST_USER_PORT = 1024  # those below are the administrator's


def listen(host: str, port: int) -> socket.socket:
    """A socket that waits for connections; port 0 lets the system choose.

    Raises:
        InvalidRequest: The host is not this machine's, or the port cannot be had.
    """
    try:
        is_six = ipaddress.ip_address(host).version == 6
    except ValueError:
        is_six = False
    listening = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD_SECONDS)
    try:
        listening.bind((host, port))
        listening.listen()  # from now on who knows the address waits, and is not refused
    except OSError as error:
        listening.close()
        raise _deaf(host, port, error) from error
    return listening


def _deaf(host: str, port: int, error: OSError) -> InvalidRequest:
    """Why a server cannot listen at an address."""
    reason = error.strerror or type(error).__name__
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return InvalidRequest("host_not_here", field="--host", host=host, reason=reason)
    other = port + 1 if FIRST_USER_PORT <= port < MAX_PORT else 8000
    return InvalidRequest(
        "cannot_listen", field="--port", host=host, port=port, reason=reason, other=other
    )


def address_of(config: ServeConfig, port: int) -> str:
    """How a server that listens at a port is reached."""
    if config.base_url is not None:
        return config.base_url
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
