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

_OUTSIDE = ("title", "description", "default")  # of a choice of types, said once for all of them
# pydantic's kind of error -> our sentence. Kinds of our own (PydanticCustomError) are named as
# their sentences and need no row; any other kind is told in pydantic's English words.
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
MAX_PROBLEMS = 20  # that one answer names
SHOWN_CHARACTERS = 32  # of a wrong value
SHOWN_NAME_CHARACTERS = 64  # of a name in a field's path

KnownFields: TypeAlias = Callable[[str | None], Iterable[str]]

_LIMIT_NAMES = ("gt", "ge", "le", "max_length")  # in pydantic's context


class WireModel(BaseModel):
    """What all the contract's objects share: nothing unknown, nothing converted, no NaN.

    An optional field that is null counts as left out, for many clients send all fields that they
    know.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given  # refused, or a model already
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
        """Let JSON Schema take null, too, wherever the model does."""
        schema = handler(core_schema)
        if handler.mode == "validation":
            told = handler.resolve_ref_schema(schema)
            for name, said in told.get("properties", {}).items():
                if name not in told.get("required", []):
                    told["properties"][name] = _or_null(said)
        return schema


def _or_null(said: JsonSchemaValue) -> JsonSchemaValue:
    outside = {key: value for key, value in said.items() if key in _OUTSIDE}
    inside = {key: value for key, value in said.items() if key not in _OUTSIDE}
    choices = inside["anyOf"] if set(inside) == {"anyOf"} else [inside]
    null = {"type": "null"}
    return {"anyOf": choices if null in choices else [*choices, null], **outside}


def brief(value: object) -> str:
    """A wrong value for a message: as JSON, cut short, so that no base64 or query gets in."""
    if isinstance(value, str):
        whole = len(value) <= SHOWN_CHARACTERS
        text = visible(json.dumps(value if whole else value[:12], ensure_ascii=False))
        return text if whole else text[:-1] + '…"'
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**16 else "> 1e16" if value > 0 else "< -1e16"
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[…]" if value else "[]"
    return type(value).__name__


def one_error(found: list[ErrorDetails], *, known_fields: KnownFields) -> InvalidRequest:
    """All of pydantic's errors as one of ours, the missing fields first.

    Args:
        found: At least one.
        known_fields: The names that could have been meant where an unknown field stands: at the
            top (None), or in an object inside the field that is given.
    """
    problems: dict[tuple[str | None, str], InvalidRequest] = {}
    untold: set[tuple[object, ...]] = set()  # problems beyond those that are told
    absent = [item["loc"][0] for item in found if item["type"] == "missing" and _at_top(item)]
    if absent:
        said = InvalidRequest("missing_required", missing=", ".join(map(str, absent)))
        problems[None, said.key] = said
    for item in found:
        if item["type"] == "missing" and _at_top(item):
            continue
        if len(problems) >= MAX_PROBLEMS:  # no sentences for what nobody will read
            untold.add((item["type"], *item["loc"]))
            continue
        problem = _problem(item, known_fields)
        problems.setdefault((problem.field, problem.key), problem)
    first, *others = problems.values()
    if untold:
        others.append(InvalidRequest("more_problems", count=len(untold)))
    return InvalidRequest(first.key, field=first.field, others=tuple(others), **first.parameters)


def _at_top(item: ErrorDetails) -> bool:
    return len(item["loc"]) == 1


def _problem(item: ErrorDetails, known_fields: KnownFields) -> InvalidRequest:
    """One of pydantic's errors as one of ours."""
    kind, place, value = item["type"], item["loc"], item["input"]
    context = item.get("ctx", {})
    if kind == "extra_forbidden":
        known = known_fields(None if _at_top(item) else str(place[0]))
        return _unknown_field(place, list(known))
    if kind in ("literal_error", "enum"):
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return not_a_choice(path_of(place) or "", brief(value), choices)
    if kind == "missing" and isinstance(place[-1], int):  # a number that a box lacks
        kind, place = "tuple_type", place[:-1]
    key = kind if kind in SENTENCES else _SENTENCE_OF.get(kind, "pydantic_said")
    parameters = {"value": brief(value), "said": item["msg"], **context}
    if isinstance(value, str):
        parameters.setdefault("length", len(value))
    for name in _LIMIT_NAMES:
        if name in context:
            parameters["limit"] = context[name]
    return InvalidRequest(key, field=path_of(place), **parameters)


def _unknown_field(place: tuple[int | str, ...], known: list[str]) -> InvalidRequest:
    near = get_close_matches(str(place[-1])[:SHOWN_NAME_CHARACTERS].lower(), known, n=1)
    if near:
        return InvalidRequest("unknown_field_near", field=path_of(place), near=near[0])
    return InvalidRequest("unknown_field", field=path_of(place), known=", ".join(known))


def path_of(place: tuple[int | str, ...]) -> str | None:
    """`audio_paths.person1.text`, without pydantic's own steps on the way there.

    None for the whole document, which pydantic blames where a name is broken.
    """
    if not place:
        return None
    parts = [str(part) for part in place]
    if parts[0] == "audio_paths" and len(parts) > 2:
        del parts[2]  # the kind of voice, or `[key]`
    elif parts[-1] == "[key]":
        parts.pop()
    return ".".join(
        part if part.isprintable() and len(part) <= SHOWN_NAME_CHARACTERS else brief(part)
        for part in parts
    )
