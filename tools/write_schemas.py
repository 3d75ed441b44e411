"""Write docs/*.schema.json, of a request, a result and an error, from the models of the contract.

python tools/write_schemas.py
"""

import json
from pathlib import Path

from multitalk.schema import ErrorReply, TalkRequest, TalkResult

DOCS = Path(__file__).resolve().parent.parent / "docs"


def schemas() -> dict[str, str]:
    """The files' names and texts."""
    made = {
        "request.schema.json": TalkRequest.model_json_schema(mode="validation"),
        "result.schema.json": TalkResult.model_json_schema(mode="serialization"),
        "error.schema.json": ErrorReply.model_json_schema(mode="serialization"),
    }
    return {
        name: json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        for name, schema in made.items()
    }


if __name__ == "__main__":
    for name, text in schemas().items():
        (DOCS / name).write_text(text, encoding="utf-8")
