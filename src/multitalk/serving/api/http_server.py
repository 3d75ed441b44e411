"""uvicorn as this server uses it: bounded connections, no header of a proxy believed unasked."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from multitalk.serving.api.connections import Connections
from multitalk.serving.api.ending import CutConnections, Ending, EndingServer
from multitalk.serving.api.protocol import BoundedProtocol

CLOSING_SECONDS = 3  # for answers that are under way; the whole end takes at most five
KEEP_ALIVE_SECONDS = 30


def http_server(
    app: ASGIApp,
    ending: Ending,
    connections: Connections,
    *,
    on_begin: Callable[[], None],
    trusted_proxies: Sequence[str] = (),
    closing_seconds: int = CLOSING_SECONDS,
) -> EndingServer:
    """A server that is ready to run.

    Args:
        app: Answers.
        ending: What signals set.
        connections: Those that it will have.
        on_begin: Called in the event loop at the first signal.
        trusted_proxies: Addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are
            believed.
        closing_seconds: How long answers that are under way may take at the end.
    """
    protocol: Any = partial(BoundedProtocol, connections)  # uvicorn calls it as it would a class
    config = uvicorn.Config(
        CutConnections(app, ending),
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=closing_seconds,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    return EndingServer(config, connections, ending, on_begin)
