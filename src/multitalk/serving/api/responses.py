"""JSON responses, errors (below `/v1` in OpenAI's form), and files sent from the disk."""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from multitalk.errors import (
    MultiTalkError,
    SpeechFailed,
    TooManyRequests,
    Unauthorized,
)
from multitalk.messages import Locale, locale_named
from multitalk.schema import ErrorReply
from multitalk.schema.json_document import to_json

PREFIX = "/v1/"
# The `type` by status; other 4xx are invalid requests.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
CHUNK_BYTES = 2**18


def json_response(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON response that is not cached."""
    return Response(
        to_json(body),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def error_response(
    error: MultiTalkError,
    locale: Locale,
    *,
    path: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response to an error.

    Args:
        error: What went wrong.
        locale: Language of its message.
        path: Of the request: below `/v1` errors have OpenAI's form.
        status: Overrides that of the error's class.
        headers: Additional ones.
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
    return json_response(body, status=status, headers=headers)


def locale_of(languages: str) -> Locale:
    """The locale of an `Accept-Language` header."""
    return locale_named(re.split("[-,;]", languages.strip().lower(), maxsplit=1)[0].strip())


def request_locale(request: Request) -> Locale:
    """The locale of a request."""
    return locale_of(request.headers.get("accept-language", ""))


def is_openai(path: str) -> bool:
    """Whether a path belongs to OpenAI's API."""
    return path.startswith(PREFIX)


def as_openai(reply: dict[str, Any], status: int) -> dict[str, Any]:
    """An error's body in OpenAI's form: `error` is an object.

    Args:
        reply: `ErrorReply.reply()`.
        status: Of the response.
    """
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    error = {
        "message": reply["error"],
        "type": kind,
        "param": reply.get("field"),
        "code": reply["code"],
    }
    return {**reply, "error": error}


class OpenFileResponse(Response):
    """Sends an open file from the disk: a slow client takes no memory.

    Args:
        file: Sent from its beginning.
        resources: Closed after the file is sent or has failed to be.
        media_type: Of the file.
        headers: Others.
    """

    def __init__(
        self, file: BinaryIO, resources: ExitStack, *, media_type: str, headers: dict[str, str]
    ) -> None:
        self._file = file
        self._resources = resources
        size = os.fstat(file.fileno()).st_size
        super().__init__(media_type=media_type, headers={**headers, "Content-Length": str(size)})

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        with self._resources, self._file:
            head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(head)
            has_more = True
            while has_more:
                chunk = await asyncio.to_thread(self._file.read, CHUNK_BYTES)
                has_more = len(chunk) == CHUNK_BYTES
                await send({"type": "http.response.body", "body": chunk, "more_body": has_more})
