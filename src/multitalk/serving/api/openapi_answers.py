"""What the routes answer, for `/openapi.json`: what comes of it, and every way to be refused."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from multitalk.media.sound_file import KINDS
from multitalk.schema import JobStatus
from multitalk.serving.api.openai_errors import is_openai

REF = "#/components/schemas/"
OPEN = ("/healthz",)  # without a key
_UNLIMITED = ("/healthz", "/metrics", "/webhook-secret", "/videos/")  # never 429
_STATES = {"type": "string", "enum": [status.value for status in JobStatus]}
_JSON = "application/json"
_MILLISECONDS = {"type": "integer", "description": "milliseconds"}
_SUBMITTED = {"id": {"type": "string"}, "status": _STATES}
_JOB = {
    **_SUBMITTED,
    "delayTime": _MILLISECONDS,
    "executionTime": _MILLISECONDS,
    "workerId": {"type": "string"},
    "output": {},
    "error": {"type": "string"},
    "jobsAhead": {"type": "integer"},
    "workers": {"type": "integer"},
}
# By a route's last words, the first that fits: the fields of its JSON answer.
_FIELDS: dict[str, dict[str, Any]] = {
    "/run": _SUBMITTED,
    "/cancel/{job_id}": _SUBMITTED,
    "/retry/{job_id}": _SUBMITTED,
    "/runsync": _JOB,
    "/status/{job_id}": _JOB,
    "/batch": {
        "jobs": {"type": "array", "items": {"type": "object", "properties": dict(_SUBMITTED)}}
    },
    "/uploads": {
        "id": {"type": "string"},
        "source": {"type": "string", "description": "what a job names it by"},
        "bytes": {"type": "integer"},
        "format": {"type": "string"},
        "medium": {"type": "string", "enum": ["audio", "image", "video"]},
        "expires": {"type": "integer", "description": "seconds since 1970"},
    },
    "/delete/{job_id}": {"id": {"type": "string"}, "deleted": {"const": True}},
    "/purge-queue": {"removed": {"type": "integer"}, "status": {"const": "completed"}},
    "/webhook-secret": {"secret": {"type": "string"}},
}
# By a route's last words, the first that fits: the media types of what is no JSON.
_MEDIA: dict[str, tuple[str, ...]] = {
    ".mp4": ("video/mp4",),
    ".vtt": ("text/vtt",),
    ".srt": ("application/x-subrip",),
    ".jpg": ("image/jpeg",),
    "/v1/audio/speech": tuple(dict.fromkeys(kind.media_type for kind in KINDS.values())),
    "/{field}": ("*/*",),
    "/metrics": ("text/plain",),
}
# By a route's last words: further statuses.
_ALSO: dict[str, tuple[int, ...]] = {
    "/run": (404, 409, 507),
    "/runsync": (404, 409, 507),
    "/batch": (404, 409, 507),
    "/retry/{job_id}": (409, 507),
    "/delete/{job_id}": (409,),
    "/requests": (400, 404),
    "/uploads": (507,),
    "/estimate": (404, 415, 507),
    "/faces": (404, 415, 507),
    "/speech": (502, 507),
    "{job_id}.mp4": (206, 304, 416),
    "/live.mp4": (204,),
}
_SAYS_NOTHING = (204, 304, 416)  # no body


def answers(path: str, *, success: str, takes_body: bool) -> dict[str, Any]:
    """The `responses` of an operation.

    Args:
        path: Its route.
        success: The status of what was wanted.
        takes_body: Whether it takes one.
    """
    told: dict[str, Any] = {
        success: {"description": "What was asked for", "content": _wanted(path)}
    }
    error = "SpeechError" if is_openai(path) else "ErrorReply"
    content = {_JSON: {"schema": {"$ref": f"{REF}{error}"}}}
    for status in sorted(_statuses(path, takes_body=takes_body)):
        told[str(status)] = {"description": HTTPStatus(status).phrase}
        if 200 < status < 300 and status not in _SAYS_NOTHING:
            told[str(status)]["content"] = _wanted(path)
        elif status not in _SAYS_NOTHING:
            told[str(status)]["content"] = content
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = {"schema": {"type": "integer"}, "description": "seconds to wait"}
            told[str(status)]["headers"] = {"Retry-After": seconds}
    told["default"] = {"description": "What is wrong", "content": content}
    return told


def error_schema(reply: dict[str, Any]) -> dict[str, Any]:
    """Errors below `/v1`, from the schema of all others."""
    text = {"type": "string"}
    error = {
        "type": "object",
        "properties": {
            "message": text,
            "type": text,
            "param": {"type": ["string", "null"]},
            "code": text,
        },
        "required": ["message", "type", "param", "code"],
    }
    return {**reply, "title": "SpeechError", "properties": {**reply["properties"], "error": error}}


def _wanted(path: str) -> dict[str, Any]:
    for end, kinds in _MEDIA.items():
        if path.endswith(end):
            return {kind: {"schema": {"type": "string"}} for kind in kinds}
    for end, fields in _FIELDS.items():
        if path.endswith(end):
            return {_JSON: {"schema": {"type": "object", "properties": fields}}}
    return {_JSON: {"schema": {"type": "object"}}}


def _statuses(path: str, *, takes_body: bool) -> Iterable[int]:
    """Of all refusals, and of what else is no plain success."""
    found = {403, 503}
    if path not in OPEN:
        found.add(401)
    if takes_body:
        found |= {400, 413}
    if "{job_id}" in path:
        found.add(404)
    if not path.startswith(_UNLIMITED):
        found.add(429)
    for end, statuses in _ALSO.items():
        if path.endswith(end):
            found |= set(statuses)
    return found
