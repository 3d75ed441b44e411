"""Short notes and large arrays between the processes of a team: over the CPU, whatever computes.

A process that is gone is noticed at once, since its connections close; one that hangs, after
`PATIENCE`.
"""

import logging
import pickle
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from multitalk.errors import EngineBroken

# How far the others may be behind the first: opening the weights, the slowest piece of a talk.
PATIENCE = timedelta(minutes=10)
FOR_EVER = timedelta(days=365)  # between talks, and while the first one's caller takes its frames
SLICE = timedelta(seconds=1)  # of waiting, between which signals are heard
PIECE_BYTES = 16 * 2**20

logger = logging.getLogger(__name__)


class Note(IntEnum):
    """What a process has to say; of several notes the largest counts for all."""

    GO_ON = 0
    OUT_OF_MEMORY = 1  # all take the next memory plan
    FAILED = 2  # one that follows could not go on
    LEFT = 3  # the first one ended the talk


class Work(Protocol):
    """What PyTorch has begun to exchange."""

    def wait(self, timeout: timedelta) -> object:
        """Wait for it; a RuntimeError if it failed or the time is over."""
        ...

    def is_completed(self) -> bool:
        """Whether it is done or has failed."""
        ...


class Notes:
    """How the processes of a team talk to each other.

    Every method is called by all of them, in the same order.
    """

    def __init__(
        self, *, patience: timedelta, parts: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Connect the processes, between which PyTorch's default group stands.

        Args:
            patience: How long to wait for the others.
            parts: Ranks of each part of the team, where the parts talk among themselves; each
                process is in one. None for all with all.
        """
        if parts is None:
            self._group = dist.new_group(backend="gloo", timeout=FOR_EVER)
        else:
            self._group, _ = dist.new_subgroups_by_enumeration(
                [list(part) for part in parts], timeout=FOR_EVER, backend="gloo"
            )
        self._patience = patience
        self.is_lost = False

    def least(self, value: float) -> float:
        """The smallest of all processes' values."""
        values = torch.tensor([value], dtype=torch.float64)
        self._reduce(values, dist.ReduceOp.MIN)
        return float(values.item())

    def exchange(self, note: Note, place: int) -> tuple[Note, bool]:
        """Hear what all have to say.

        Args:
            note: From here.
            place: A number for what is done next.

        Returns:
            The note that counts, and whether all are at the same place.
        """
        notes = torch.tensor([note, place, -place])
        self._reduce(notes, dist.ReduceOp.MAX)
        heard, highest, minus_lowest = notes.tolist()
        return Note(heard), highest == -minus_lowest

    def send(self, talk: object) -> None:
        """Send to the others what `receive` gives them there.

        Args:
            talk: What can be pickled, or None; arrays in it are not copied as a whole.
        """
        views: list[pickle.PickleBuffer] = []
        header = pickle.dumps(talk, protocol=5, buffer_callback=views.append)
        held: list[bytes | memoryview] = [header, *(view.raw() for view in views)]
        parts = [np.frombuffer(part, np.uint8) for part in held]
        self._pass_on(np.array([len(parts)]))
        self._pass_on(np.array([len(part) for part in parts]))
        for part in parts:
            for start in range(0, len(part), PIECE_BYTES):
                self._pass_on(part[start : start + PIECE_BYTES].copy())  # the part is read-only

    def receive(self) -> Any:
        """Wait for what the first process sends."""
        number = self._pass_on(np.zeros(1, np.int64))
        sizes = self._pass_on(np.zeros(number[0], np.int64))
        parts = [np.empty(size, np.uint8) for size in sizes]
        for part in parts:
            for start in range(0, len(part), PIECE_BYTES):
                self._pass_on(part[start : start + PIECE_BYTES])
        header, *arrays = parts
        return pickle.loads(header.data, buffers=arrays)  # noqa: S301 - from a process of ours

    def _pass_on(self, values: NDArray[Any]) -> NDArray[Any]:
        """From the first process to the others, in place."""
        piece = torch.from_numpy(values)
        self.wait_for(lambda: dist.broadcast(piece, src=0, group=self._group, async_op=True))
        return values

    def _reduce(self, values: torch.Tensor, operation: dist.ReduceOp) -> None:
        self.wait_for(lambda: dist.all_reduce(values, operation, group=self._group, async_op=True))

    def wait_for(self, begin: Callable[[], Work]) -> None:
        """Do an exchange, as long as the others are there.

        Raises:
            EngineBroken: One of them is gone, or does not answer.
        """
        if self.is_lost:
            raise EngineBroken("parallel_lost")
        deadline = time.monotonic() + self._patience.total_seconds()
        try:
            work = begin()
            while not _is_done(work):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no answer in {self._patience}")
        except (RuntimeError, TimeoutError) as error:
            self.is_lost = True
            logger.error("another process of this team is gone: %s", error)
            raise EngineBroken("parallel_lost") from error


def _is_done(work: Work) -> bool:
    """Wait a moment for an exchange.

    Raises:
        RuntimeError: It failed: another process is gone.
    """
    try:
        work.wait(SLICE)
    except RuntimeError:
        if not work.is_completed():
            return False  # only the moment is over
        work.wait(SLICE)  # it ended just then: well, or else this says why not
    return True
