"""Numbers as options: what a range does not refuse by itself."""

import math
from typing import TypeVar

import typer

MAX_RETENTION_SECONDS = 10 * 365 * 86_400.0
MAX_RATE_FACTOR = 1e6
MAX_PRICE = 1e9
MAX_QUOTA = 1e9  # gigabytes
MAX_DRAIN_SECONDS = 7 * 86_400.0

Number = TypeVar("Number", float, float | None)


def is_number(value: Number) -> Number:
    """An option's value, if it is a number: `nan` is in every range.

    Raises:
        BadParameter: It is none.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter(f"{value} is not a number; write one such as 2.5")
    return value
