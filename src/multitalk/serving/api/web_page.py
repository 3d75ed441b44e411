"""The web page's files, with the headers that protect it, and its texts as a module."""

import json
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from multitalk.messages import read_texts

DIRECTORY = Path(__file__).parent.parent / "web"
STRINGS = DIRECTORY / "strings"
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


@lru_cache
def strings_module() -> str:
    """The page's texts in each language, from `web/strings/*.json`, as a JavaScript module."""
    return f"export const STRINGS = {json.dumps(read_texts(STRINGS), ensure_ascii=False)};\n"


def mount_page(app: FastAPI, directory: Path = DIRECTORY) -> None:
    """Serve the page's files where no route has the path; nothing where there are none."""
    if directory.is_dir():
        # not mounted: a mount would also take a route's path with a wrong method
        app.router.default = _Page(directory=directory, html=True)


class _Page(StaticFiles):
    """The page's files with its security headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (name.lower().encode(), value.encode()) for name, value in HEADERS.items()
                ]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await super().__call__(scope, receive, with_headers)
