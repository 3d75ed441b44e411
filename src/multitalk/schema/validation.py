"""The base of all models of the contract, and pydantic's errors as the package's."""

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails

from multitalk.errors import InvalidRequest, not_a_choice
from multitalk.messages import SENTENCES, visible

_OUTER_KEYS = ("title", "description", "default")  # stay outside of `anyOf`
# pydantic's type of error -> key of the message. A PydanticCustomError has a message's key as its
# type; any other type is reported in pydantic's English words.
_SENTENCE_OF = {
    "dict_type": "expected_object",
    "finite_number": "expected_finite",
    "float_type": "expected_number",
    "greater_than": "too_low",
    "greater_than_equal": "too_low",
    "int_from_float": "expected_integer",
    "int_type": "expected_integer",
    "less_than_equal": "too_high",
    "missing": "field_missing",
    "model_type": "expected_object",
    "string_too_long": "text_too_long",
    "string_type": "expected_text",
    "string_unicode": "text_broken",
    "too_long": "expected_box",
    "tuple_type": "expected_box",
}
MAX_PROBLEMS = 20  # in one error
SHOWN_CHARACTERS, CUT_CHARACTERS = 32, 12  # of a wrong value; of one that is longer
MAX_SHOWN_INTEGER = 10**16
SHOWN_NAME_CHARACTERS = 64  # of a name in a field's path

KnownFields: TypeAlias = Callable[[str | None], Iterable[str]]

_LIMIT_NAMES = ("gt", "ge", "le", "max_length")  # in pydantic's context


class WireModel(BaseModel):
    """Base of the contract's models: no unknown fields, no conversions, no NaN.

    An optional field that is null counts as left out, because many clients send all their fields.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given  # refused later, or a model already
        optional = {
            field.alias or name
            for name, field in cls.model_fields.items()
            if not field.is_required()
        }
        return {
            name: value
            for name, value in given.items()
            if value is not None or name not in optional
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Make optional fields nullable in JSON Schema, as they are in the model."""
        schema = handler(core_schema)
        if handler.mode == "validation":
            resolved = handler.resolve_ref_schema(schema)
            for name, schema_of_field in resolved.get("properties", {}).items():
                if name not in resolved.get("required", []):
                    resolved["properties"][name] = _or_null(schema_of_field)
        return schema


def _or_null(schema_of_field: JsonSchemaValue) -> JsonSchemaValue:
    outer = {key: value for key, value in schema_of_field.items() if key in _OUTER_KEYS}
    inner = {key: value for key, value in schema_of_field.items() if key not in _OUTER_KEYS}
    choices = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    null = {"type": "null"}
    return {"anyOf": choices if null in choices else [*choices, null], **outer}


def brief(value: object) -> str:
    """A value for a message: as JSON, cut so that no base64 or query is in it."""
    match value:
        case str():
            return _brief_text(value)
        case None | bool() | float():
            return json.dumps(value)
        case int():
            return _brief_integer(value)
        case Mapping():
            return "{…}" if value else "{}"
        case list() | tuple():
            return "[…]" if value else "[]"
    return type(value).__name__


def _brief_text(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return visible(json.dumps(text, ensure_ascii=False))
    return visible(json.dumps(text[:CUT_CHARACTERS], ensure_ascii=False))[:-1] + '…"'


def _brief_integer(number: int) -> str:
    if abs(number) < MAX_SHOWN_INTEGER:
        return str(number)
    return "> 1e16" if number > 0 else "< -1e16"


def one_error(found: list[ErrorDetails], *, known_fields: KnownFields) -> InvalidRequest:
    """All of pydantic's errors as one InvalidRequest, the missing fields first.

    Args:
        found: At least one.
        known_fields: The fields of the whole document (None), or of an object inside the given
            field: suggestions for an unknown one.
    """
    problems: dict[tuple[str | None, str], InvalidRequest] = {}
    unreported: set[tuple[object, ...]] = set()  # problems above the limit
    absent = [item for item in found if _is_absent(item)]
    if absent:
        missing = tuple(str(item["loc"][0]) for item in absent)
        problem = InvalidRequest("missing_required", missing=missing)
        problems[None, problem.key] = problem
    for item in (item for item in found if not _is_absent(item)):
        if len(problems) >= MAX_PROBLEMS:  # counted only
            unreported.add((item["type"], *item["loc"]))
            continue
        problem = _problem(item, known_fields)
        problems.setdefault((problem.field, problem.key), problem)
    first, *others = problems.values()
    if unreported:
        others.append(InvalidRequest("more_problems", count=len(unreported)))
    return InvalidRequest(first.key, field=first.field, others=tuple(others), **first.parameters)


def _is_absent(item: ErrorDetails) -> bool:
    """Whether a field of the document itself is missing."""
    return item["type"] == "missing" and len(item["loc"]) == 1


def _problem(item: ErrorDetails, known_fields: KnownFields) -> InvalidRequest:
    """One of pydantic's errors as an InvalidRequest."""
    path = item["loc"]
    if item["type"] == "extra_forbidden":
        known = known_fields(None if len(path) == 1 else str(path[0]))
        return _unknown_field(path, list(known))
    if item["type"] in ("literal_error", "enum"):
        expected = item["ctx"]["expected"]
        choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return not_a_choice(path_of(path) or "", brief(item["input"]), choices)
    return _invalid_value(item)


def _invalid_value(item: ErrorDetails) -> InvalidRequest:
    """A value that its field does not take."""
    kind, path, value = item["type"], item["loc"], item["input"]
    context = item.get("ctx", {})
    if kind == "missing" and isinstance(path[-1], int):  # a box with too few numbers
        kind, path = "tuple_type", path[:-1]
    key = kind if kind in SENTENCES else _SENTENCE_OF.get(kind, "pydantic_said")
    parameters = {"value": brief(value), "said": item["msg"], **context}
    if isinstance(value, str):
        parameters.setdefault("length", len(value))
    for name in _LIMIT_NAMES:
        if name in context:
            parameters["limit"] = context[name]
    return InvalidRequest(key, field=path_of(path), **parameters)


def _unknown_field(path: tuple[int | str, ...], known: list[str]) -> InvalidRequest:
    near = get_close_matches(str(path[-1])[:SHOWN_NAME_CHARACTERS].lower(), known, n=1)
    if near:
        return InvalidRequest("unknown_field_near", field=path_of(path), near=near[0])
    return InvalidRequest("unknown_field", field=path_of(path), known=", ".join(known))


def path_of(path: tuple[int | str, ...]) -> str | None:
    """`audio_paths.person1.text`, without pydantic's own steps.

    None for the whole document, where pydantic reports a malformed name.
    """
    if not path:
        return None
    parts = [str(part) for part in path]
    if parts[0] == "audio_paths" and len(parts) > 2:
        del parts[2]  # the kind of voice, or `[key]`
    elif parts[-1] == "[key]":
        parts.pop()
    return ".".join(map(_shown_name, parts))


def _shown_name(name: str) -> str:
    return name if name.isprintable() and len(name) <= SHOWN_NAME_CHARACTERS else brief(name)
