"""What the routes take, for `/openapi.json`: made from the models that judge it."""

from typing import Any

from multitalk.schema import SpokenText
from multitalk.schema.s3_config import FIELDS, NEEDED
from multitalk.serving.api.order import MAX_BATCH, MAX_WEBHOOK_CHARACTERS, OrderBody
from multitalk.serving.api.speech import SpeechBody

REF = "#/components/schemas/"
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


def body_schemas() -> dict[str, dict[str, Any]]:
    """The schemas that `BODIES` names, and those inside of them."""
    order = OrderBody.model_json_schema(ref_template=REF + "{model}")
    inner = order.pop("$defs")
    order["properties"] |= {
        "input": {"$ref": f"{REF}TalkRequest"},
        "webhook": _or_null(
            {"type": "string", "format": "uri", "maxLength": MAX_WEBHOOK_CHARACTERS}
        ),
        "s3Config": _or_null(
            {
                "type": "object",
                "properties": {name: {"type": "string"} for name in FIELDS},
                "required": list(NEEDED),
                "additionalProperties": False,
            }
        ),
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
