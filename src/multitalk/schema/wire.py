"""What all objects of the contract share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_OUTSIDE = ("title", "description", "default")  # of a choice of types, said once for all of them


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
