"""JSON as the doors read it: strictly, for a request that says two things says nothing."""

import json
from collections.abc import Callable, Sequence
from math import isfinite

from multitalk.errors import InvalidRequest
from multitalk.schema.bounds import (
    MAX_NUMBER_CHARACTERS,
    MAX_VALUES,
    check_text,
    check_value,
    number_too_long,
)
from multitalk.schema.problems import brief


def read_json(
    text: bytes | str, *, field: str | None = None, max_values: int = MAX_VALUES
) -> object:
    """Parse a JSON document, within bounds.

    It is measured before anything is built of it, so that the time and the memory that it takes
    depend on its bytes only: a fraction of a second for 20 MB.

    Args:
        text: In UTF-8, -16 or -32 where it is bytes.
        field: What to blame in an error, where the document is not the whole request.
        max_values: How many values it may have.

    Raises:
        InvalidRequest: Not JSON, out of bounds (see `bounds`), a name given twice in one object, a
            number that is not finite, or half of a surrogate pair.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        check_text(text, max_values=max_values, field=field)
        given: object = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_number(_finite, field),
            parse_int=_number(int, field),
        )
    except _Twice as error:
        raise InvalidRequest("json_key_twice", field=field, name=brief(error.name)) from error
    except json.JSONDecodeError as error:
        reason = f"{error.msg}, {error.lineno}:{error.colno}"
        raise InvalidRequest("json_broken", field=field, reason=reason) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest("json_broken", field=field, reason="not UTF-8") from error
    except ValueError as error:
        raise InvalidRequest("json_broken", field=field, reason=str(error)) from error
    check_value(given, max_values=max_values, field=field)
    return given


class _Twice(ValueError):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def _number(kind: Callable[[str], float | int], field: str | None) -> Callable[[str], float | int]:
    def read(digits: str) -> float | int:
        if len(digits) > MAX_NUMBER_CHARACTERS:
            raise number_too_long(field)
        return kind(digits)

    return read


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"{brief(digits)} is too large for a number")
    return number


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")
