"""The document of all routes, `/openapi.json`, from which `/docs` is made, too.

The routes read their bodies themselves, strictly and within limits, so the framework knows nothing
of them; they are described beside this module. A test holds the document to the routes.
"""

import re
from typing import Any

from fastapi import FastAPI

from multitalk.schema import ErrorReply, JobStatus, TalkRequest
from multitalk.serving.api.openapi_answers import OPEN, answers, error_schema
from multitalk.serving.api.openapi_bodies import BODIES, FILES, REF, body_schemas
from multitalk.serving.api.order import MAX_KEY_CHARACTERS

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
