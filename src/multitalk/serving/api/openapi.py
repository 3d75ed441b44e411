"""What the routes take and answer, for `/openapi.json` and `/docs`: bodies, queries, examples.

The routes read their bodies themselves, strictly and within limits, so the framework knows nothing
of them; they are described here.
"""

import re
from typing import Any

from fastapi import FastAPI

from multitalk.schema import ErrorReply, TalkRequest

PORTRAIT = "upload://ID"  # an example's picture: the page of the routes puts a real one there
TEXT = "Hello. One picture and a voice are all I need to speak."
INPUT = {
    "prompt": "A person talks to the camera",
    "image_path": PORTRAIT,
    "audio_paths": {"person1": {"text": TEXT, "voice": "female"}},
}
JOB = {"input": INPUT}
REF = "#/components/schemas/"

_ORDER = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "input": {"$ref": f"{REF}TalkRequest"},
        "webhook": {"type": "string", "format": "uri"},
        "policy": {
            "type": "object",
            "properties": {
                "executionTimeout": {"type": "integer", "minimum": 5000},
                "ttl": {"type": "integer", "minimum": 10_000},
                "lowPriority": {"type": "boolean"},
            },
        },
        "s3Config": {"type": "object"},
    },
}
_BATCH = {
    "type": "object",
    "required": ["jobs"],
    "properties": {"jobs": {"type": "array", "items": _ORDER, "minItems": 1, "maxItems": 100}},
}
_FACES = {
    "type": "object",
    "required": ["image_path"],
    "properties": {"image_path": {"type": "string", "description": "an upload"}},
}
_SPEECH = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "input": {"type": "string", "description": "what is said"},
        "voice": {"type": "string"},
        "language": {"type": "string"},
        "speed": {"type": "number", "minimum": 0.5, "maximum": 2.0},
        "pitch": {"type": "number", "minimum": -12, "maximum": 12},
        "response_format": {"type": "string", "default": "wav"},
        "model": {"type": "string"},
    },
}
# By a route's last words: the schema of its JSON body, and an example.
_BODIES: dict[str, tuple[dict[str, Any], Any]] = {
    "/run": (_ORDER, JOB),
    "/runsync": (_ORDER, JOB),
    "/estimate": (_ORDER, JOB),
    "/batch": (_BATCH, {"jobs": [JOB]}),
    "/faces": (_FACES, {"image_path": PORTRAIT}),
    "/speech": (_SPEECH, {"input": TEXT, "voice": "female"}),
}
_FILES = ("/uploads", "/faces")  # take a file as it is
_WAIT = {"type": "integer", "minimum": 1000, "maximum": 300_000, "default": 90_000}
_STATUSES = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]
_QUERIES: dict[str, dict[str, Any]] = {
    "/runsync": {"wait": _WAIT},
    "/status/{job_id}": {"video": {"type": "string", "enum": ["url"]}},
    "/requests": {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 100},
        "status": {"type": "string", "enum": _STATUSES},
        "before": {"type": "string"},
    },
    ".mp4": {"download": {"type": "string", "enum": ["1"]}},
    ".srt": {"download": {"type": "string", "enum": ["1"]}},
    ".vtt": {"download": {"type": "string", "enum": ["1"]}},
}
_EXAMPLES = {"endpoint": "multitalk", "field": "image_path"}  # of parts of a path
_OPEN = ("/healthz",)  # without a key
_TAGS = (  # of a path, by how it begins; the first that fits
    (r"/v2/[^/]+/(input|delete|requests)", "Earlier talks"),
    (r"/v2/", "Jobs"),
    (r"/videos/", "Videos"),
    (r"/(uploads|faces)", "Files"),
    (r"/(voices|v1/audio)", "Voices"),
    (r"/", "Server"),
)


class DescribedApp(FastAPI):
    """An application whose OpenAPI document says what its routes take."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        is_made = self.openapi_schema is not None
        document = super().openapi()
        if not is_made:
            _describe(document)
        return document


def _describe(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (TalkRequest, ErrorReply):
        schema = model.model_json_schema(ref_template=REF + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _describe_one(path, operation)


def _describe_one(path: str, operation: dict[str, Any]) -> None:
    operation["tags"] = [next(tag for start, tag in _TAGS if re.match(start, path))]
    if path not in _OPEN:
        operation["security"] = [{"key": []}, {}]  # none where the server has no keys
    operation["parameters"] = [*_path_parameters(path), *_query_parameters(path)]
    content = {}
    for end, (schema, example) in _BODIES.items():
        if path.endswith(end):
            content["application/json"] = {"schema": schema, "example": example}
    if path.endswith(_FILES):
        binary = {"schema": {"type": "string", "format": "binary"}}
        content["application/octet-stream"] = binary
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    error = {"application/json": {"schema": {"$ref": f"{REF}ErrorReply"}}}
    operation["responses"].pop("422", None)  # the framework's own; ours are of one form
    operation["responses"]["default"] = {"description": "What is wrong", "content": error}


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


def _query_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for end, queries in _QUERIES.items()
        if path.endswith(end) and not path.endswith("/live.mp4")
        for name, schema in queries.items()
    ]
