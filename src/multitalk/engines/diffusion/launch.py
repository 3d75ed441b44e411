"""Rank of this process, from the environment variables of `torchrun`; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """One of several processes that were started together.

    Attributes:
        rank: 0 serves the jobs.
        local_rank: Among those on this machine: the number of its GPU.
        num_processes: Two or more.
    """

    rank: int
    local_rank: int
    num_processes: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Launch | None":
        """The launcher's values, or None for a process that was started alone."""
        if any(not environ.get(name) for name in VARIABLES) or int(environ["WORLD_SIZE"]) < 2:
            return None
        return cls(int(environ["RANK"]), int(environ["LOCAL_RANK"]), int(environ["WORLD_SIZE"]))
