"""Errors and notices on their way from a reading process to the server, as JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from multitalk import errors
from multitalk.errors import InvalidRequest, MultiTalkError
from multitalk.messages import Notice, sentence

_KINDS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, MultiTalkError)
}
_MAX_CHARACTERS = 2000  # of one parameter
_MAX_PROBLEMS = 100


class Untold(ValueError):
    """What came is nothing that a reading process of this version says."""


def told_error(error: MultiTalkError) -> dict[str, Any]:
    """An error as JSON."""
    return {
        "kind": type(error).__name__,
        "key": error.key,
        "field": error.field,
        "parameters": _plain(error.parameters),
        "others": [told_error(other) for other in error.problems[1:]],
    }


def error_from(told: object) -> MultiTalkError:
    """The error again.

    Raises:
        Untold: It is none.
    """
    match told:
        case {
            "kind": str() as kind,
            "key": str() as key,
            "field": str() | None as field,
            "parameters": dict() as parameters,
            "others": list() as others,
        } if kind in _KINDS:
            _check(key, parameters)
            error = _KINDS[kind].__new__(_KINDS[kind])  # some are made from other arguments
            if isinstance(error, InvalidRequest):
                found = [error_from(other) for other in others[:_MAX_PROBLEMS]]
                error.others = tuple(one for one in found if isinstance(one, InvalidRequest))
            MultiTalkError.__init__(error, key, field=field, **parameters)
            return error
    raise Untold


def told_notices(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """Notices as JSON."""
    return [{"key": one.key, "parameters": _plain(one.parameters)} for one in notices]


def notices_from(told: object) -> list[Notice]:
    """The notices again.

    Raises:
        Untold: They are none.
    """
    if not isinstance(told, list):
        raise Untold
    found = []
    for one in told:
        match one:
            case {"key": str() as key, "parameters": dict() as parameters}:
                _check(key, parameters)
                found.append(Notice(key, parameters))
            case _:
                raise Untold
    return found


def seconds_from(told: object) -> float | None:
    """A length, or None where it is not known.

    Raises:
        Untold: It is none.
    """
    if told is None:
        return None
    if isinstance(told, int | float) and math.isfinite(told) and told >= 0:
        return float(told)
    raise Untold


def _plain(parameters: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, bool | int | float) else str(value)[:_MAX_CHARACTERS]
        for name, value in parameters.items()
    }


def _check(key: str, parameters: Mapping[str, object]) -> None:
    """Refuse a sentence that cannot be said.

    Raises:
        Untold: It is unknown, or its parameters do not fit.
    """
    try:
        sentence(key, "en", **parameters)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Untold from error
