"""Control messages between the processes that share a talk, over gloo on the CPU.

At each synchronization point the processes exchange a signal. A process that failed in between
sends its failure at the next point, so that the work succeeds in all processes or fails in all. A
process that has died is noticed at once, since its connections close; one that hangs, after
`TIMEOUT`.
"""

import logging
import pickle
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from multitalk.errors import EngineBroken, EngineFailed

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


class TalkLeftError(Exception):
    """The first process ended the talk: nothing is wrong here."""


class Circle:
    """The processes of a team, or of a half of it, seen from one of them."""

    def __init__(self, notes: Notes, *, follows: bool) -> None:
        """Meet the others.

        Args:
            notes: Between them.
            follows: Whether this is not the team's first process.
        """
        self.notes = notes
        self._follows = follows
        self._stretch = 0  # number of the work in hand
        self._is_open = False  # whether the others are in it, too

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that all do: it has succeeded on all, or ends with an error on all.

        Raises:
            OutOfMemoryError: PyTorch's: here or in another process.
            EngineFailed: Another process failed.
            TalkLeftError: The first process has left the work.
            EngineBroken: Another process is gone.
        """
        self._stretch += 1
        mine, self._is_open = self._stretch, True
        try:
            yield
            self.ask()
        except BaseException as error:
            if self._is_open and mine == self._stretch:
                self._tell(error)
            raise
        self._is_open = False

    def ask(self, what: str = "") -> None:
        """Come to a point of the work, and hear whether all go on.

        Args:
            what: Is done next; who does not do the same has lost its way.

        Raises:
            OutOfMemoryError, EngineFailed, TalkLeftError, EngineBroken: As `together`.
        """
        heard = self._exchange(Note.GO_ON, what)
        if heard is not Note.GO_ON:
            raise _error_of(heard)

    def begin(self) -> None:
        """The others are in the work from now on."""
        self._is_open = True

    def leave(self) -> None:
        """Have the others leave work that was left without a word."""
        if self._is_open:
            self._exchange(Note.LEFT)

    def lose(self) -> None:
        """One of them is gone, as another circle has noticed: nobody is waited for any more."""
        self.notes.is_lost = True
        self._is_open = False

    def _tell(self, error: BaseException) -> None:
        """Say what ended the work here; what was worse elsewhere is raised."""
        note = Note.FAILED if self._follows else Note.LEFT
        if isinstance(error, torch.OutOfMemoryError):
            note = Note.OUT_OF_MEMORY
        heard = self._exchange(note)
        if heard is not note:
            raise _error_of(heard) from error

    def _exchange(self, note: Note, what: str = "") -> Note:
        try:
            heard, is_same_place = self.notes.exchange(note, zlib.crc32(what.encode()))
        except EngineBroken:
            self._is_open = False
            raise
        if heard is Note.GO_ON and not is_same_place:
            logger.error("the processes of a talk have lost each other, here before: %s", what)
            heard = Note.FAILED
        if heard is not Note.GO_ON:
            self._is_open = False
        return heard


def _error_of(note: Note) -> Exception:
    if note is Note.OUT_OF_MEMORY:
        return torch.OutOfMemoryError("out of memory in another process")
    if note is Note.FAILED:
        return EngineFailed("parallel_failed")
    return TalkLeftError()
