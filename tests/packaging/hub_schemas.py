"""What RunPod's Hub accepts in `.runpod/`, as JSON Schema.

After https://docs.runpod.io/hub/publishing-guide; the pools are those of
https://docs.runpod.io/references/gpu-types.
"""

from typing import Any

POOLS = "AMPERE_16|AMPERE_24|ADA_24|AMPERE_48|ADA_48_PRO|AMPERE_80|ADA_80_PRO|HOPPER_141"
KEY = {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$"}
TEXT = {"type": "string", "minLength": 1}
CUDA_VERSIONS = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "pattern": r"^\d{2}\.\d$"},
}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def _input(kind: str, default: str, **more: Any) -> dict[str, Any]:
    return _object(
        {"name": TEXT, "type": {"const": kind}, "description": TEXT, "default": {"type": default}},
        {"advanced": {"type": "boolean"}, **more},
    )


VARIABLE = {
    "oneOf": [
        _object({"key": KEY, "value": {"type": "string"}}),
        _object(
            {
                "key": KEY,
                "input": {
                    "oneOf": [
                        _input(
                            "string",
                            "string",
                            options={
                                "type": "array",
                                "items": _object({"label": TEXT, "value": TEXT}),
                            },
                        ),
                        _input("huggingface", "string"),
                        _input("number", "number", min={"type": "number"}, max={"type": "number"}),
                        _input("boolean", "boolean", trueValue=TEXT, falseValue=TEXT),
                    ]
                },
            }
        ),
    ]
}
PRESET = _object(
    {
        "name": TEXT,
        "defaults": {
            "type": "object",
            "propertyNames": KEY,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
    }
)
HUB = _object(
    {
        "title": TEXT,
        "description": TEXT,
        "type": {"const": "serverless"},
        "category": {"enum": ["audio", "embedding", "language", "video", "image"]},
        "config": _object(
            {
                "runsOn": {"const": "GPU"},
                "containerDiskInGb": {"type": "integer", "minimum": 1},
                "gpuCount": {"type": "integer", "minimum": 1},
                "gpuIds": {
                    "type": "string",
                    "pattern": rf"^({POOLS})(,({POOLS}|-NVIDIA [A-Za-z0-9 ]+))*$",
                },
            },
            {
                "allowedCudaVersions": CUDA_VERSIONS,
                "presets": {"type": "array", "items": PRESET},
                "env": {"type": "array", "items": VARIABLE},
            },
        ),
    },
    {"iconUrl": {"type": "string", "format": "uri"}},
)
TESTS = _object(
    {
        "tests": {
            "type": "array",
            "minItems": 1,
            "items": _object(
                {"name": TEXT, "input": {"type": "object"}},
                {"timeout": {"type": "integer", "minimum": 1_000}},  # milliseconds
            ),
        },
        "config": _object(
            {"gpuTypeId": TEXT, "gpuCount": {"type": "integer", "minimum": 1}},
            {
                "env": {
                    "type": "array",
                    "items": _object({"key": KEY, "value": {"type": "string"}}),
                },
                "allowedCudaVersions": CUDA_VERSIONS,
            },
        ),
    }
)
