"""The application: its routes and middleware, and the response to each kind of error."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from multitalk.disk import DISK_ERRORS, server_disk_error
from multitalk.errors import InternalError, InvalidRequest, MultiTalkError, NotFound
from multitalk.schema.validation import one_error
from multitalk.serving.api.access.auth import AuthMiddleware
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.dependencies import accepts_signed_url
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.openapi import DocumentedApp
from multitalk.serving.api.responses import error_response, locale_of
from multitalk.serving.api.routes import (
    files,
    history,
    jobs,
    live,
    server,
    videos,
    voices,
)
from multitalk.serving.api.services import Services
from multitalk.serving.api.web_page import mount_page
from multitalk.version import __version__

DESCRIPTION = (
    "RunPod's endpoint protocol, and what a web page needs beside it. docs/api.md says what a job "
    "is, docs/self-hosting.md what this server adds."
)
EXPOSED_HEADERS = ("Content-Range", "Accept-Ranges", "ETag", "Retry-After", "Location", "Link")
RUNPOD_WORKER = "X-Runpod-Worker-Id"  # of RunPod's load balancer: to which worker a request goes
ROUTERS = tuple(module.router for module in (jobs, history, videos, files, voices, live, server))

logger = logging.getLogger(__name__)

Opening = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(config: ServeConfig, keys: KeyRing, opening: Opening, metrics: Metrics) -> FastAPI:
    """The application.

    Args:
        config: Of the server.
        keys: API keys.
        opening: Opens the services in the event loop, and closes them at the end.
        metrics: Counts requests.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opening() as services:
            app.state.services = services
            yield

    app = DocumentedApp(
        title="MultiTalk",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's own page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.metrics = metrics
    for router in ROUTERS:
        app.router.routes += router.routes  # as they are: `include_router` would build them again
    mount_page(app)
    app.add_exception_handler(MultiTalkError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_unknown_route)
    app.add_exception_handler(RequestValidationError, _answer_invalid_parameters)
    app.add_exception_handler(OSError, _answer_disk_error)
    app.add_exception_handler(ClientDisconnect, _answer_disconnect)
    app.add_exception_handler(Exception, _answer_crash)
    app.add_middleware(
        AuthMiddleware,
        keys=keys,
        base_url=config.base_url,
        cors_origins=config.cors_origins,
        metrics=metrics,
        routes=app.router.routes,
        signed_routes=[route for route in app.router.routes if accepts_signed_url(route)],
    )
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", RUNPOD_WORKER],
            expose_headers=[*EXPOSED_HEADERS, RUNPOD_WORKER],
        )
    return app


def _respond(request: Request, error: MultiTalkError, **more: Any) -> Response:
    locale = locale_of(request.headers.get("accept-language", ""))
    return error_response(error, locale, path=request.scope["path"], **more)


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, MultiTalkError):
        raise error
    return _respond(request, error)


async def _answer_invalid_parameters(request: Request, error: Exception) -> Response:
    """Parameters that FastAPI refuses: pydantic's errors as the package's."""
    if not isinstance(error, RequestValidationError):
        raise error
    found: list[Any] = [{**item, "loc": item["loc"][1:]} for item in error.errors()]  # no "query"
    return _respond(request, one_error(found, known_fields=lambda _: ()))


async def _answer_disk_error(request: Request, error: Exception) -> Response:
    """A full or failing disk; another OSError is a crash."""
    if not isinstance(error, OSError) or error.errno not in DISK_ERRORS:
        raise error
    return _respond(request, server_disk_error(error))


async def _answer_unknown_route(request: Request, error: Exception) -> Response:
    """No such route or method: the framework's status, the package's body."""
    if not isinstance(error, HTTPException):
        raise error
    error_of_route = NotFound("address_not_found")
    return _respond(request, error_of_route, status=error.status_code, headers=error.headers)


async def _answer_disconnect(request: Request, _: Exception) -> Response:
    """The client disconnected before the end of its body; nobody reads this."""
    return _respond(request, InvalidRequest("body_cut"))


async def _answer_crash(request: Request, _: Exception) -> Response:
    """A crash: the framework logs its traceback, the client does not see it."""
    return _respond(request, InternalError("server_crashed"))
