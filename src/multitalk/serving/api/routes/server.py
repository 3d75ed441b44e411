"""The server itself: health for people and load balancers, metrics, the pages' own files."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from multitalk.errors import ServerStopping
from multitalk.serving.api.dependencies import (
    ConfigDep,
    EngineDep,
    KeysDep,
    Owner,
    QueueDep,
    SecretDep,
    ShutdownDep,
)
from multitalk.serving.api.jobs.webhooks import webhook_secret
from multitalk.serving.api.models import ServerHealth, WebhookSecret
from multitalk.serving.api.openapi import Responses, refusals
from multitalk.serving.api.responses import json_response
from multitalk.serving.api.web_page import DIRECTORY, HEADERS, docs_page, strings_module
from multitalk.version import __version__

WITHOUT_KEY: Responses = {
    status: response for status, response in refusals().items() if status != 401
}

router = APIRouter(tags=["Server"])


@router.get(
    "/healthz",
    summary="Whether the server is well",
    response_model=ServerHealth,
    responses=WITHOUT_KEY,
)
async def healthz(queue: QueueDep, config: ConfigDep, keys: KeysDep, engine: EngineDep) -> Response:
    """200 while the queue answers, else 503. Also what a page must know before it has a key."""
    counts, workers = await queue.load()
    return json_response(
        ServerHealth(
            status="ok",
            version=__version__,
            engine=engine,
            engines=sorted({worker.engine for worker in workers} or {engine}),
            workers=len(workers),
            in_queue=counts.in_queue,
            retention_seconds=config.retention_seconds,
            key_needed=keys.is_in_use(),
        )
    )


@router.get(
    "/ping",
    summary="Whether a load balancer may send requests",
    responses={**WITHOUT_KEY, 204: {"description": "No worker is ready yet"}},
)
async def ping(queue: QueueDep, config: ConfigDep, shutdown: ShutdownDep) -> Response:
    """200: yes. 204: no worker is ready yet, as at the start. 503: it ends, or its queue fails."""
    if shutdown.requested.is_set():
        raise ServerStopping("server_stopping")
    if config.workers and not await queue.workers():
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    return json_response({"status": "ready"})


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
    responses=refusals(),
)
async def metrics(request: Request, queue: QueueDep) -> Response:
    """With keys, Prometheus sends one as `authorization.credentials`."""
    text = request.app.state.metrics.text(*await queue.load())
    return Response(text, media_type="text/plain; version=0.0.4")


@router.get(
    "/webhook-secret",
    summary="What this key's webhooks are signed with",
    response_model=WebhookSecret,
    responses=refusals(),
)
async def secret(server_secret: SecretDep, owner: Owner) -> Response:
    """For the receiver of webhooks: see docs/self-hosting.md."""
    return json_response(WebhookSecret(secret=webhook_secret(server_secret, owner)))


@router.get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response:
    """The icon that browsers request for every site."""
    return FileResponse(DIRECTORY / "icon.svg", media_type="image/svg+xml")


@router.get("/js/strings.js", include_in_schema=False)
async def strings() -> Response:
    """The page's texts in each language, from `web/strings/*.json`, as a JavaScript module."""
    return Response(strings_module(), media_type="text/javascript", headers=HEADERS)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Every route, to be tried; the same for programs: /openapi.json."""
    return HTMLResponse(docs_page(request.app.openapi()), headers=HEADERS)
