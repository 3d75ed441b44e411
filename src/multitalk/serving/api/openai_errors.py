"""Errors of the routes under `/v1`, as OpenAI's clients read them."""

from typing import Any

PREFIX = "/v1/"
# The `type` by status; any other status of a caller's mistake is an invalid request.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def is_openai(path: str) -> bool:
    """Whether a path is one of those that OpenAI's clients ask for."""
    return path.startswith(PREFIX)


def as_openai(reply: dict[str, Any], status: int) -> dict[str, Any]:
    """An error's body with `error` as an object in place of a sentence; the rest stays.

    Args:
        reply: `ErrorReply.reply()`.
        status: Of the answer.
    """
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    error = {
        "message": reply["error"],
        "type": kind,
        "param": reply.get("field"),
        "code": reply["code"],
    }
    return {**reply, "error": error}
