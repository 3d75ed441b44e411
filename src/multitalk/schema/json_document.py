"""JSON documents, parsed strictly and within bounds.

A few megabytes of JSON can name millions of values, which take gigabytes and minutes once they are
objects and each is validated by itself. No request needs more than some hundreds, so a document is
measured before anything is built from it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import isfinite
from typing import Any

from multitalk.errors import InvalidRequest
from multitalk.schema.validation import brief, path_of

MAX_VALUES = 20_000  # of a request, those inside of others included
MAX_DEPTH = 64  # objects and lists inside each other
MAX_NAMES = 64  # of one object
MAX_NAME_CHARACTERS = 256  # of a field's name; speakers' names have a lower limit
MAX_NUMBER_CHARACTERS = 400  # the largest float has 309 digits before its point

_MAX_INTEGER_BITS = MAX_NUMBER_CHARACTERS * 4
_BRACKET = re.compile(r"[\[\]{}]")
_HALF_A_PAIR = re.compile("[\\ud800-\\udfff]")  # a lone surrogate, which UTF-8 cannot encode


def read_json(
    text: bytes | str, *, field: str | None = None, max_values: int = MAX_VALUES
) -> object:
    """Parse a JSON document, within bounds.

    It is measured before it is parsed, so time and memory depend on its bytes only: a fraction of a
    second for 20 MB.

    Args:
        text: Bytes are UTF-8, -16 or -32.
        field: Named in errors, where the document is a part of the request.
        max_values: Limit of its values.

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


def to_json(value: object) -> bytes:
    """A JSON document in UTF-8, which every parser reads; half of a surrogate pair becomes `?`.

    Raises:
        ValueError: A number is not finite.
        TypeError: A value has no JSON form.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


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


def is_broken(text: str) -> bool:
    """Whether a text has a lone surrogate."""
    return not text.isascii() and _HALF_A_PAIR.search(text) is not None


def check_text(text: str, *, max_values: int, field: str | None) -> None:
    """Refuse a JSON text with too many or too deeply nested values, without parsing it.

    Every step is one call over the whole text, tens of milliseconds for 20 MB. Text that is not
    JSON may be measured wrongly, but the parser refuses it.

    Args:
        text: The document.
        max_values: Limit of its values.
        field: Named in the error.

    Raises:
        InvalidRequest: Too many, or too deep.
    """
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    # each value has at most a name and a text, and thus two pairs of quotation marks
    if unescaped.count('"') > 4 * max_values:
        raise _too_many(max_values, field)
    outside_strings = "".join(unescaped.split('"')[::2])  # all but names and texts
    # each value is the first of the document or of an object or list, or is after a comma
    opening = outside_strings.count("{") + outside_strings.count("[")
    closing = outside_strings.count("}") + outside_strings.count("]")
    if 1 + outside_strings.count(",") + opening > max_values or closing > max_values:
        raise _too_many(max_values, field)
    if opening > MAX_DEPTH and max(_depths(outside_strings)) > MAX_DEPTH:
        raise _too_deep(field)


def check_value(given: object, *, max_values: int = MAX_VALUES, field: str | None = None) -> None:
    """Refuse a parsed document that is out of bounds, before its fields are validated.

    Args:
        given: From `json.loads`; other types are ignored.
        max_values: Limit of its values.
        field: Named in errors of the whole document.

    Raises:
        InvalidRequest: Too many values or names, too deep, a name or a number that is too long, or
            a text or name with half of a surrogate pair.
    """
    count = 0
    pending: list[tuple[object, tuple[int | str, ...]]] = [(given, ())]
    while pending:
        value, path = pending.pop()
        count += 1
        if not isinstance(value, dict | list | tuple | Mapping):
            _check_scalar(value, path, field)
            continue
        if count + len(pending) + len(value) > max_values:
            raise _too_many(max_values, field)
        if value and len(path) >= MAX_DEPTH:
            raise _too_deep(_field(path[:1]) or field)
        # In reverse, so that the first error is found first.
        pending += reversed(_values_inside(value, path, field))


def _check_scalar(value: object, path: tuple[int | str, ...], field: str | None) -> None:
    if isinstance(value, str) and is_broken(value):
        raise InvalidRequest("text_broken", field=_field(path) or field)
    if isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
        raise number_too_long(_field(path) or field)


def _values_inside(
    value: Sequence[object] | Mapping[Any, object], path: tuple[int | str, ...], field: str | None
) -> list[tuple[object, tuple[int | str, ...]]]:
    """The values of a list or an object, each with its path."""
    if not isinstance(value, Mapping):
        return [(inner, (*path, number)) for number, inner in enumerate(value)]
    _check_names(value, path, field)
    return [(inner, (*path, str(name))) for name, inner in value.items()]


def number_too_long(field: str | None) -> InvalidRequest:
    """The error of a number with too many digits."""
    return InvalidRequest("number_too_long", field=field, limit=MAX_NUMBER_CHARACTERS)


def _check_names(
    given: Mapping[Any, object], path: tuple[int | str, ...], field: str | None
) -> None:
    """Refuse an object for its names; `path` is the object's."""
    where = _field(path) or field
    if len(given) > MAX_NAMES:
        raise InvalidRequest("too_many_names", field=where, count=len(given), limit=MAX_NAMES)
    for name in filter(_is_text, given):
        if len(name) > MAX_NAME_CHARACTERS:
            shown, limit = brief(name), MAX_NAME_CHARACTERS
            raise InvalidRequest(
                "name_too_long", field=where, name=shown, length=len(name), limit=limit
            )
        if is_broken(name):
            raise InvalidRequest("text_broken", field=_field((*path, name)) or field)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _depths(outside_strings: str) -> Iterator[int]:
    """Nesting depth after each bracket."""
    return accumulate(1 if found[0] in "[{" else -1 for found in _BRACKET.finditer(outside_strings))


def _field(path: tuple[int | str, ...]) -> str | None:
    """A path in a document as errors name it, without `input`."""
    job = ""
    if len(path) > 1 and path[0] == "jobs":  # of a batch
        job, path = f"jobs[{path[1]}]", path[2:]
    if path and path[0] == "input":
        path = path[1:]
    return ".".join(part for part in (job, path_of(path)) if part) or None


def _too_many(limit: int, field: str | None) -> InvalidRequest:
    return InvalidRequest("too_many_values", field=field, limit=limit)


def _too_deep(field: str | None) -> InvalidRequest:
    return InvalidRequest("nested_too_deeply", field=field, limit=MAX_DEPTH)
