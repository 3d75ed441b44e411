"""JSON in and out of the routes: bodies within a limit, errors as one object."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import (
    LimitExceeded,
    MultiTalkError,
    SpeechFailed,
    TooManyRequests,
    Unauthorized,
)
from multitalk.messages import Locale
from multitalk.schema import ErrorReply, read_json
from multitalk.serving.api.config import MEGABYTE


def answer(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer, which no cache keeps."""
    return Response(
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def error_answer(error: MultiTalkError, locale: Locale) -> Response:
    """What is told about an error, with the status of its kind."""
    headers = {}
    if isinstance(error, TooManyRequests | SpeechFailed):
        seconds = error.parameters.get("seconds")
        if isinstance(seconds, float | int):
            headers["Retry-After"] = str(round(seconds))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    body = ErrorReply.of(error, locale).reply()
    return answer(body, status=error.http_status, headers=headers)


def locale_of(languages: str) -> Locale:
    """The language of sentences that an `Accept-Language` header asks for."""
    return "ko" if languages.strip().lower().startswith("ko") else "en"


async def read_body(request: Request, *, max_bytes: int) -> Any:
    """The body of a request as JSON.

    Raises:
        LimitExceeded: Too many bytes; the rest is not read.
        InvalidRequest: No JSON.
    """
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isascii() and announced.isdigit() else 0
    parts: list[bytes] = []
    if size <= max_bytes:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                break
            parts.append(chunk)
    if size > max_bytes:
        raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
    return read_json(b"".join(parts))
