"""JSON in and out of the routes: bodies within a limit, errors as one object."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
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
from multitalk.messages import Locale, locale_named
from multitalk.schema import ErrorReply, read_json
from multitalk.schema.bounds import MAX_VALUES
from multitalk.serving.api.config import MEGABYTE
from multitalk.serving.api.openai_errors import as_openai, is_openai
from multitalk.serving.api.receiving import SMALL_BYTES

MAX_LENGTH_DIGITS = 18  # of a number of bytes
LARGE_BODY_BYTES = 2**20  # from here on a body is parsed in a thread, one such at a time


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


def error_answer(
    error: MultiTalkError,
    locale: Locale,
    *,
    path: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What is told about an error.

    Args:
        error: What went wrong.
        locale: Language of its sentence.
        path: That was asked for: below `/v1` errors have OpenAI's form.
        status: In place of that of the error's kind.
        headers: Of the answer, beside its own.
    """
    headers = dict(headers or {})
    if isinstance(error, TooManyRequests | SpeechFailed):
        seconds = error.parameters.get("seconds")
        if isinstance(seconds, float | int):
            headers["Retry-After"] = str(round(seconds))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    status = status or error.http_status
    body = ErrorReply.of(error, locale).reply()
    if is_openai(path):
        body = as_openai(body, status)
    return answer(body, status=status, headers=headers)


def locale_of(languages: str) -> Locale:
    """The language of sentences that an `Accept-Language` header asks for."""
    return locale_named(re.split("[-,;]", languages.strip().lower(), maxsplit=1)[0].strip())


def announced_bytes(request: Request) -> int | None:
    """What `Content-Length` says; None where it says nothing."""
    digits = request.headers.get("content-length", "")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if len(digits) <= MAX_LENGTH_DIGITS else 10**MAX_LENGTH_DIGITS


async def read_body(request: Request, *, max_bytes: int, max_values: int = MAX_VALUES) -> Any:
    """The body of a request as JSON; a caller's large ones wait for room.

    Raises:
        LimitExceeded: Too many bytes; the rest is not read.
        InvalidRequest: No JSON, or out of the bounds of `multitalk.schema.bounds`.
    """
    size = announced_bytes(request) or 0
    if size > max_bytes:
        raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
    server, owner = request.app.state.server, request.state.owner
    async with AsyncExitStack() as stack:
        parts: list[bytes] = []
        expected, size = size or max_bytes, 0
        async for chunk in request.stream():
            if size <= SMALL_BYTES < size + len(chunk):
                await stack.enter_async_context(server.receiving.room(owner, expected))
            size += len(chunk)
            if size > max_bytes:
                raise LimitExceeded("body_too_large", limit=max_bytes / MEGABYTE)
            parts.append(chunk)
        body = b"".join(parts)
        del parts
        if size < LARGE_BODY_BYTES:
            return read_json(body, max_values=max_values)
        return await asyncio.get_running_loop().run_in_executor(
            server.parsing, partial(read_json, body, max_values=max_values)
        )
