"""STUN and TURN servers, by which WebRTC crosses NATs and firewalls."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

# RFC 7064, 3.1 and RFC 7065, 3.1, and user and password as in other addresses.
_SERVER = re.compile(
    r"(?P<scheme>stun|turns?):(?:(?P<user>[^\s:@]+):(?P<password>[^\s:@]+)@)?"
    r"(?P<place>(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:\?transport=(?:udp|tcp))?)",
    re.ASCII,
)


@dataclass(frozen=True)
class IceServer:
    """One server.

    Attributes:
        url: `stun:HOST:PORT`, `turn:HOST:PORT` or `turns:HOST:PORT`.
        username: For TURN.
        password: For TURN.
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "IceServer":
        """A server as an operator writes it: `turn:USER:PASSWORD@HOST:PORT`.

        Raises:
            ValueError: It is none, or TURN without user and password.
        """
        found = _SERVER.fullmatch(text)
        if found is None or (found["scheme"] == "stun") == (found["user"] is not None):
            raise ValueError("no STUN or TURN server")
        url = f"{found['scheme']}:{found['place']}"
        if found["user"] is None:
            return cls(url)
        return cls(url, unquote(found["user"]), unquote(found["password"]))

    def rtc(self) -> dict[str, str]:
        """As the dictionary `RTCIceServer` of WebRTC."""
        if self.username is None or self.password is None:
            return {"urls": self.url}
        return {"urls": self.url, "username": self.username, "credential": self.password}

    def link(self) -> str:
        """As a `Link` header (RFC 9725, 4.6)."""
        if self.username is None or self.password is None:
            return f'<{self.url}>; rel="ice-server"'
        name, credential = (
            re.sub(r'(["\\])', r"\\\1", text) for text in (self.username, self.password)
        )
        return (
            f'<{self.url}>; rel="ice-server"; username="{name}"; credential="{credential}"; '
            'credential-type="password"'
        )
