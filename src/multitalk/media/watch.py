"""How decoders ask whether to go on."""

from collections.abc import Callable
from typing import TypeAlias

# Called at least every second while a file is decoded; what it raises ends the decoding.
Watch: TypeAlias = Callable[[], None]


def unwatched() -> None:
    """A `Watch` for files that nobody waits for."""
