"""The document of all routes, `/openapi.json`, from which `/docs` is made, too.

The routes read their bodies themselves, strictly and within limits, so the framework knows nothing
of them; they are described in this module. A test holds the document to the routes.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from multitalk.media.audio_encoder import KINDS
from multitalk.schema import ErrorReply, JobStatus, SpokenText, TalkRequest
from multitalk.schema.s3_config import S3Config
from multitalk.serving.api.responses import is_openai
from multitalk.serving.api.routes.voices import SpeechBody
from multitalk.serving.api.submission import (
    MAX_BATCH,
    MAX_KEY_CHARACTERS,
    MAX_WEBHOOK_CHARACTERS,
    RunBody,
)

_WAIT = {"type": "integer", "minimum": 1000, "maximum": 300_000, "default": 90_000}
_SIGNATURE = {
    "signature": {"type": "string", "description": "of a signed address, in place of a key"},
    "expires": {"type": "string", "description": "of a signed address"},
}
_DOWNLOAD = {"download": {"type": "string", "enum": ["1"]}, **_SIGNATURE}
# By a route's last words: its query, and the headers that it looks at.
_QUERIES: dict[str, dict[str, Any]] = {
    "/runsync": {"wait": _WAIT},
    "/status/{job_id}": {"video": {"type": "string", "enum": ["url"]}},
    "/requests": {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 100},
        "status": {"type": "string", "enum": [status.value for status in JobStatus]},
        "before": {"type": "string"},
    },
    "/faces": {"speakers": {"type": "integer", "minimum": 1, "default": 1}},
    "{job_id}.mp4": _DOWNLOAD,
    ".srt": _DOWNLOAD,
    ".vtt": _DOWNLOAD,
    ".jpg": _SIGNATURE,
    "/live.mp4": _SIGNATURE,
}
_KEY = {"Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS}}
_TEXT = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "/run": _KEY,
    "/runsync": _KEY,
    "/batch": _KEY,
    "{job_id}.mp4": {"Range": _TEXT, "If-Range": _TEXT, "If-None-Match": _TEXT},
}
_EXAMPLES = {"endpoint": "multitalk", "field": "image_path"}  # of parts of a path
_TAGS = (  # of a path, by how it begins; the first that fits
    (r"/v2/[^/]+/(input|delete|requests)", "Earlier talks"),
    (r"/v2/", "Jobs"),
    (r"/videos/", "Videos"),
    (r"/(uploads|faces)", "Files"),
    (r"/(voices|v1/audio)", "Voices"),
    (r"/", "Server"),
)
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
PORTRAIT = "upload://ID"  # an example's picture: the page of the routes puts a real one there
TEXT = "Hello. One picture and a voice are all I need to speak."
INPUT = {
    "prompt": "A person talks to the camera",
    "image_path": PORTRAIT,
    "audio_paths": {"person1": {"text": TEXT, "voice": "female"}},
}
JOB = {"input": INPUT}
# By a route's last words: the name of its JSON body's schema, and an example.
BODIES: dict[str, tuple[str, Any]] = {
    "/run": ("OrderBody", JOB),
    "/runsync": ("OrderBody", JOB),
    "/estimate": ("OrderBody", JOB),
    "/batch": ("BatchBody", {"jobs": [JOB]}),
    "/faces": ("FacesBody", {"image_path": PORTRAIT}),
    "/speech": ("SpeechBody", {"input": TEXT, "voice": "female"}),
}
FILES = ("/uploads", "/faces")  # take a file as it is


class DescribedApp(FastAPI):
    """An application whose OpenAPI document says what its routes take and answer."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        is_made = self.openapi_schema is not None
        document = super().openapi()
        if not is_made:
            _describe(document)
        return document


def _describe(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components["schemas"] = body_schemas()  # the framework's own are not used
    for model in (TalkRequest, ErrorReply):
        schema = model.model_json_schema(ref_template=REF + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas["SpeechError"] = error_schema(schemas["ErrorReply"])
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _describe_one(path, method, operation)


def _describe_one(path: str, method: str, operation: dict[str, Any]) -> None:
    operation["tags"] = [next(tag for start, tag in _TAGS if re.match(start, path))]
    # none where the server has no keys, or at a signed address
    operation["security"] = [] if path in OPEN else [{"key": []}, {}]
    operation["parameters"] = [
        *_path_parameters(path),
        *_parameters("query", _of(path, _QUERIES)),
        *_parameters("header", _of(path, _HEADERS)),
    ]
    content = {}
    for end, (name, example) in BODIES.items():
        if path.endswith(end):
            schema = {"$ref": REF + name}
            content["application/json"] = {"schema": schema, "example": example}
    if path.endswith(FILES):
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    success = min(operation["responses"])
    operation["responses"] = answers(path, success=success, takes_body=bool(content))
    if method == "head":
        for answer in operation["responses"].values():
            answer.pop("content", None)


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            **({"example": _EXAMPLES[name]} if name in _EXAMPLES else {}),
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _parameters(place: str, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": place, "required": False, "schema": schema}
        for name, schema in schemas.items()
    ]


def _of(path: str, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a table has for a route, by its last words."""
    return next((found for end, found in table.items() if path.endswith(end)), {})


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


def body_schemas() -> dict[str, dict[str, Any]]:
    """The schemas that `BODIES` names, and those inside of them."""
    order = RunBody.model_json_schema(ref_template=REF + "{model}")
    inner = order.pop("$defs")
    order["properties"] |= {
        "input": {"$ref": f"{REF}TalkRequest"},
        "webhook": _or_null(
            {"type": "string", "format": "uri", "maxLength": MAX_WEBHOOK_CHARACTERS}
        ),
        "s3Config": _or_null(S3Config.model_json_schema()),
    }
    jobs = {
        "type": "array",
        "items": {"$ref": f"{REF}OrderBody"},
        "minItems": 1,
        "maxItems": MAX_BATCH,
    }
    source = {"type": "string", "pattern": "^upload://", "description": "an upload"}
    return {
        **inner,
        "OrderBody": order,
        "BatchBody": _object({"jobs": jobs}),
        "FacesBody": {**_object({"image_path": source}), "additionalProperties": True},
        "SpeechBody": _speech(),
    }


def _speech() -> dict[str, Any]:
    """OpenAI's names for the parts of a spoken text."""
    body = SpeechBody.model_json_schema()
    of_text = SpokenText.model_json_schema()["properties"]
    body["properties"] |= {name: of_text[name] for name in body["properties"] if name in of_text}
    body["properties"]["input"] = of_text["text"]
    body["properties"]["model"] = _or_null({"type": "string", "description": "ignored"})
    return body


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
