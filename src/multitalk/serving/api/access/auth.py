"""Authentication: the middleware that admits requests before any route.

With keys, a request needs one. Without any, the server is for this machine only: the connection has
to come from it, whatever the request says of itself. Then pages of other sites, which the same
person's browser may show, must not use it either: the request must name this machine as its host
(against DNS rebinding), and must not come from another origin.

Keys are looked for at the start. A key that is made later turns authentication on; a file of keys
that is lost later does not turn it off.

A path needs a key if a route begins with the same part, and is not one of `PUBLIC_PATHS`. So a new
route needs one.
"""

import ipaddress
import time
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multitalk.errors import Forbidden, MultiTalkError, Unauthorized
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.config import LOOPBACK
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.responses import error_response, locale_of

# Routes without a key: what a page or a load balancer needs before there is one.
PUBLIC_PATHS = ("/healthz", "/ping", "/docs", "/openapi.json", "/favicon.ico", "/js/strings.js")
# Subprotocols of a WebSocket (RFC 6455, 11.3.4): this server's, and a key as a name.
LIVE_PROTOCOL = "multitalk.live.v1"
KEY_PROTOCOL = "multitalk.key."


def protected_parts(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """The first parts of the paths that need a key: those of all routes but `PUBLIC_PATHS`.

    Raises:
        ValueError: A route's path does not begin with a fixed part.
    """
    parts = set()
    for route in routes:
        path = str(getattr(route, "path", ""))
        if path in PUBLIC_PATHS:
            continue
        part = first_part(path)
        if not part or "{" in part:
            raise ValueError(f"a route's path must begin with a fixed part: {path!r}")
        parts.add(part)
    return frozenset(parts)


def first_part(path: str) -> str:
    """The first part of a path."""
    return path.strip("/").partition("/")[0]


def is_loopback_peer(client: tuple[str, int] | None) -> bool:
    """Whether a connection comes from this machine."""
    if client is None:
        return False
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # the IPv4 address in an IPv6 one
    return (mapped or address).is_loopback


class AuthMiddleware:
    """ASGI middleware: admits requests with a valid key, and notes its owner.

    Args:
        app: The application; it finds the key's id in `state.owner`.
        keys: Who may ask.
        base_url: Of the server from outside, if configured.
        cors_origins: Other origins whose pages may use the server.
        metrics: Counts requests.
        routes: All routes of the application.
        signed_routes: Those that accept a signed URL in place of a key, and check it themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        base_url: str | None,
        cors_origins: Iterable[str],
        metrics: Metrics,
        routes: Iterable[BaseRoute],
        signed_routes: Collection[Route],
    ) -> None:
        self._app = app
        self._keys = keys
        self._hosts = {*LOOPBACK, "[::1]"}
        if base_url is not None and (name := urlsplit(base_url).hostname):
            self._hosts.add(name)
        self._origins = frozenset(cors_origins)
        self._metrics = metrics
        self._protected = protected_parts(routes)
        self._signed_routes = signed_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] == "websocket":
            await self._open_websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = Headers(scope=scope)
        try:
            scope.setdefault("state", {})["owner"] = self._admit(scope, headers)
        except MultiTalkError as error:
            locale = locale_of(headers.get("accept-language", ""))
            await error_response(error, locale, path=scope["path"])(scope, receive, send_counted)
        else:
            await self._app(scope, receive, send_counted)
        finally:
            route = scope.get("route")
            self._metrics.request(
                getattr(route, "path", "other"), status, time.perf_counter() - began
            )

    async def _open_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a WebSocket whose handshake is authorized; others get its HTTP answer.

        A browser cannot send a header with it, so the key may be one of the subprotocols.
        """
        headers = Headers(scope=scope)
        offered = list(scope.get("subprotocols", ()))
        keys = [name for name in offered if name.startswith(KEY_PROTOCOL)]
        try:
            if keys and "authorization" not in headers:
                token = keys[0].removeprefix(KEY_PROTOCOL).encode()
                headers = Headers(raw=[*scope["headers"], (b"authorization", token)])
            owner = self._admit({**scope, "method": "WEBSOCKET"}, headers)
        except MultiTalkError as error:
            locale = locale_of(headers.get("accept-language", ""))
            answer = error_response(error, locale, path=scope["path"])
            await receive()  # websocket.connect
            await answer(scope, receive, send)  # an HTTP answer to the handshake
            return
        state = scope.setdefault("state", {})
        state["owner"] = owner
        state["subprotocol"] = LIVE_PROTOCOL if LIVE_PROTOCOL in offered else None
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope, headers: Headers) -> str | None:
        """Id of the caller's key, empty where none is needed; None: a public path or signed URL.

        Raises:
            Unauthorized: A key is needed, and is missing or unknown.
            Forbidden: The request comes from another machine or another site.
            ServerUnavailable: The keys cannot be read.
        """
        path: str = scope["path"]
        is_api = first_part(path) in self._protected
        if not self._keys.is_in_use():
            self._check_peer(scope)
            self._check_host(headers)
            if is_api or scope["method"] not in ("GET", "HEAD"):
                self._check_origin(headers)
            return ""
        token = _token(headers)
        if token is not None:
            owner = self._keys.owner(token)
            if owner is None:
                raise Unauthorized("key_unknown")
            return owner
        if is_api and not self._accepts_signature(scope):
            raise Unauthorized("key_missing")
        return None

    def _accepts_signature(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self._signed_routes)

    def _check_peer(self, scope: Scope) -> None:
        client = scope.get("client")
        if not is_loopback_peer(client):
            raise Forbidden("peer_refused", peer=client[0][:80] if client else "unknown")

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in self._hosts:
            raise Forbidden("host_refused", host=host[:80])

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin in self._origins:
            return
        if origin is not None and _host_of(origin) != headers.get("host", ""):
            raise Forbidden("origin_refused", origin=origin[:80])
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            raise Forbidden("origin_refused", origin="another site")


def _host_of(origin: str) -> str | None:
    """Host and port of an origin; None where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _token(headers: Headers) -> str | None:
    """The key of `Authorization: Bearer KEY`, or of `Authorization: KEY`."""
    given = headers.get("authorization", "").strip()
    scheme, _, rest = given.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else given) or None
