"""`/openapi.json`: FastAPI's document of the routes, and the bodies that they read themselves.

Parameters and answers are in it as the routes declare them. A `JsonBody` names the model of a body,
which a route reads itself, within limits. `refusals` are the errors of a route.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from typing_extensions import override

from multitalk.schema import ErrorReply
from multitalk.serving.api.access.auth import PUBLIC_PATHS
from multitalk.serving.api.json_body import JsonBody
from multitalk.serving.api.models import BODY_MODELS

Responses = dict[int | str, dict[str, Any]]

REF = "#/components/schemas/{model}"
JSON, BINARY = "application/json", "application/octet-stream"
FILE = {"schema": {"type": "string", "format": "binary"}}
EXAMPLE_SOURCE = "upload://ID"  # the page of the routes puts a real one in its place
EXAMPLE_TEXT = "Hello. One picture and a voice are all I need to speak."
EXAMPLE_JOB = {
    "input": {
        "prompt": "A person talks to the camera",
        "image_path": EXAMPLE_SOURCE,
        "audio_paths": {"person1": {"text": EXAMPLE_TEXT, "voice": "female"}},
    }
}
# Parameters in paths that no route declares: any name, as RunPod's clients send one; a job's id,
# which `dependencies` reads.
PATH_PARAMETERS = (
    {
        "name": "endpoint",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "examples": ["multitalk"]},
    },
    {
        "name": "job_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "title": "Job Id"},
    },
)
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "seconds to wait"}


def refusals(*statuses: int, model: type[BaseModel] = ErrorReply) -> Responses:
    """The `responses` of a route that may be refused with these statuses."""
    found: Responses = {
        status: {"model": model, "description": HTTPStatus(status).phrase}
        for status in sorted({401, 403, 503, *statuses})
    }
    if HTTPStatus.TOO_MANY_REQUESTS in found:
        found[429]["headers"] = {"Retry-After": RETRY_AFTER}
    return found | {"default": {"model": model, "description": "What is wrong"}}


def media(*types: str, description: str = "The file") -> Responses:
    """The success of a route that answers a file of one of these media types."""
    return {200: {"description": description, "content": dict.fromkeys(types, FILE)}}


class BodyRoute(APIRoute):
    """A route that documents the `JsonBody` which it depends on."""

    @override
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        for dependency in self.dependant.dependencies:
            if isinstance(dependency.call, JsonBody):
                self.openapi_extra = {"requestBody": _request_body(dependency.call)}


class DocumentedApp(FastAPI):
    """An application whose OpenAPI document has the models of bodies, and where a key is needed."""

    @override
    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        if self.openapi_schema is None:
            _complete(super().openapi())
        return super().openapi()


def _complete(document: dict[str, Any]) -> None:
    _, schemas = models_json_schema(
        [(model, "validation") for model in BODY_MODELS], ref_template=REF
    )
    document["components"]["schemas"] |= schemas["$defs"]
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        in_path = [one for one in PATH_PARAMETERS if f"{{{one['name']}}}" in path]
        for operation in methods.values():
            # no key where the server has none, or for a signed URL
            operation["security"] = [] if path in PUBLIC_PATHS else [{"key": []}, {}]
            operation["parameters"] = [*in_path, *operation.get("parameters", [])]
        for response in methods.get("head", {}).get("responses", {}).values():
            response.pop("content", None)


def _request_body(body: JsonBody) -> dict[str, Any]:
    schema = {"$ref": REF.format(model=body.model.__name__)}
    content: dict[str, Any] = {JSON: {"schema": schema, "example": body.example}}
    if body.takes_file:
        content[BINARY] = FILE
    return {"required": True, "content": content}
