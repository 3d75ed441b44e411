"""JSON as the doors read it: strictly, for a request that says two things says nothing."""

import json
from collections.abc import Sequence

from multitalk.errors import InvalidRequest
from multitalk.schema.problems import brief


def read_json(text: bytes | str, *, field: str | None = None) -> object:
    """Parse a JSON document.

    Args:
        text: In UTF-8, -16 or -32 where it is bytes.
        field: What to blame in an error, where the document is not the whole request.

    Raises:
        InvalidRequest: Not JSON, a name given twice in one object, NaN or Infinity, or nested too
            deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _Twice as error:
        raise InvalidRequest("json_key_twice", field=field, name=brief(error.name)) from error
    except json.JSONDecodeError as error:
        reason = f"{error.msg}, {error.lineno}:{error.colno}"
        raise InvalidRequest("json_broken", field=field, reason=reason) from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else brief(str(error))
        raise InvalidRequest("json_broken", field=field, reason=reason) from error


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


def _no_constant(name: str) -> object:
    raise ValueError(name)
