"""How much one question may cost, and where its process may look."""

from dataclasses import asdict, dataclass
from typing import Any

BASE_MEMORY_BYTES = 768 * 2**20  # libraries, networks and threads' stacks
BYTES_PER_PIXEL = 24  # of the largest picture: decoded, converted, turned; measured: 14
FILE_SLACK_BYTES = 2**20


@dataclass(frozen=True)
class Limits:
    """What a process may use for one question.

    Attributes:
        memory_bytes: Of private memory that can be written (RLIMIT_DATA).
        cpu_seconds: Of all its threads.
        wall_seconds: From when it begins to its answer.
        file_bytes: The largest file that it may write.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float
    file_bytes: int

    def told(self) -> dict[str, Any]:
        """The limits as JSON."""
        return asdict(self)


def memory_for(max_image_pixels: int) -> int:
    """Bytes that suffice for a picture of so many pixels."""
    return BASE_MEMORY_BYTES + BYTES_PER_PIXEL * max_image_pixels
