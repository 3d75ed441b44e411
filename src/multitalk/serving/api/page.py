"""What is open to everybody: the web page, the list of routes, whether the server is well."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from multitalk.serving.api.answers import answer
from multitalk.serving.api.docs_page import docs_page
from multitalk.serving.api.server import server_of
from multitalk.version import __version__

DIRECTORY = Path(__file__).parent.parent / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

router = APIRouter()


@router.get("/healthz", summary="Whether the server is well")
async def healthz(request: Request) -> Response:
    """200 while the queue answers, else 503. Also what a page must know before it has a key."""
    server = server_of(request)
    counts, workers = await server.queue.counts(), await server.queue.workers()
    return answer(
        {
            "status": "ok",
            "version": __version__,
            "engine": server.engine,
            "engines": sorted({worker.engine for worker in workers} or {server.engine}),
            "workers": len(workers),
            "in_queue": counts.in_queue,
            "retention_seconds": server.config.retention_seconds,
            "key_needed": server.keys.is_in_use(),
        }
    )


@router.get("/metrics", summary="Figures for Prometheus")
async def metrics(request: Request) -> Response:
    """With keys, Prometheus sends one as `authorization.credentials`."""
    server = server_of(request)
    text = request.app.state.metrics.text(await server.queue.counts(), await server.queue.workers())
    return Response(text, media_type="text/plain; version=0.0.4")


@router.get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response:
    """What a browser asks for at every address of a site."""
    return FileResponse(DIRECTORY / "icon.svg", media_type="image/svg+xml")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Every route, to be tried; the same for programs: /openapi.json."""
    return HTMLResponse(docs_page(request.app.openapi()), headers=HEADERS)


def mount_page(app: FastAPI, directory: Path = DIRECTORY) -> None:
    """Serve the page's files where no route has the path; nothing where there are none."""
    if directory.is_dir():
        # not mounted: a mount would also take a route's path with a wrong method
        app.router.default = _Page(directory=directory, html=True)


class _Page(StaticFiles):
    """Files with the headers that a page of ours has."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        await super().__call__(scope, receive, with_headers)
