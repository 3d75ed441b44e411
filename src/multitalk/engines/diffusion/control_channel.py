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

# How far the other ranks may be behind rank 0: opening the weights, the slowest step of a talk.
TIMEOUT = timedelta(minutes=10)
NO_TIMEOUT = timedelta(days=365)  # between talks, and while rank 0's caller consumes its frames
POLL_INTERVAL = timedelta(seconds=1)  # of waiting; between polls Python handles signals
CHUNK_BYTES = 16 * 2**20

logger = logging.getLogger(__name__)


class Signal(IntEnum):
    """Status of a rank; the ranks agree on the maximum (all-reduce MAX)."""

    CONTINUE = 0
    OUT_OF_MEMORY = 1  # all take the next memory plan
    FAILED = 2  # a rank other than 0 failed
    ABANDONED = 3  # rank 0 ended the talk


class TalkAbandoned(Exception):
    """Rank 0 ended the talk; no error of this process."""


class AsyncWork(Protocol):
    """PyTorch's handle of an asynchronous operation."""

    def wait(self, timeout: timedelta) -> object:
        """Wait for it; RuntimeError if it failed or the timeout is over."""
        ...

    def is_completed(self) -> bool:
        """True if it is done or has failed."""
        ...


class ControlChannel:
    """Collective operations on small values and Python objects, with a timeout.

    Every method is called by all ranks, in the same order.

    Attributes:
        is_lost: A rank is gone; every further operation fails.
    """

    def __init__(
        self, *, timeout: timedelta, subgroups: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Connect the ranks of PyTorch's default process group.

        Args:
            timeout: Of an operation.
            subgroups: Ranks of each subgroup with a separate channel; each rank is in one.
                None for one channel of all ranks.
        """
        if subgroups is None:
            self._group = dist.new_group(backend="gloo", timeout=NO_TIMEOUT)
        else:
            self._group, _ = dist.new_subgroups_by_enumeration(
                [list(ranks) for ranks in subgroups], timeout=NO_TIMEOUT, backend="gloo"
            )
        self._timeout = timeout
        self.is_lost = False

    def all_reduce_min(self, value: float) -> float:
        """The smallest of all ranks' values."""
        values = torch.tensor([value], dtype=torch.float64)
        self._all_reduce(values, dist.ReduceOp.MIN)
        return float(values.item())

    def exchange(self, signal: Signal, step_id: int) -> tuple[Signal, bool]:
        """All-reduce the signals.

        Args:
            signal: Of this rank.
            step_id: Identifies the operation that follows.

        Returns:
            The largest signal, and whether all ranks have the same step.
        """
        values = torch.tensor([signal, step_id, -step_id])
        self._all_reduce(values, dist.ReduceOp.MAX)
        largest, highest, minus_lowest = values.tolist()
        return Signal(largest), highest == -minus_lowest

    def broadcast(self, value: object) -> None:
        """Send a value from rank 0 to the other ranks, which `receive` it.

        Args:
            value: A picklable object, or None; arrays in it are not copied as a whole.
        """
        views: list[pickle.PickleBuffer] = []
        header = pickle.dumps(value, protocol=5, buffer_callback=views.append)
        buffers: list[bytes | memoryview] = [header, *(view.raw() for view in views)]
        parts = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
        self._broadcast_array(np.array([len(parts)]))
        self._broadcast_array(np.array([len(part) for part in parts]))
        for part in parts:
            for start in range(0, len(part), CHUNK_BYTES):
                self._broadcast_array(part[start : start + CHUNK_BYTES].copy())  # read-only

    def receive(self) -> Any:
        """Wait for a value that rank 0 broadcasts."""
        number = self._broadcast_array(np.zeros(1, np.int64))
        sizes = self._broadcast_array(np.zeros(number[0], np.int64))
        parts = [np.empty(size, np.uint8) for size in sizes]
        for part in parts:
            for start in range(0, len(part), CHUNK_BYTES):
                self._broadcast_array(part[start : start + CHUNK_BYTES])
        header, *arrays = parts
        return pickle.loads(header.data, buffers=arrays)  # noqa: S301 - from rank 0

    def _broadcast_array(self, values: NDArray[Any]) -> NDArray[Any]:
        """From rank 0 to the other ranks, in place."""
        tensor = torch.from_numpy(values)
        self.wait_for(lambda: dist.broadcast(tensor, src=0, group=self._group, async_op=True))
        return values

    def _all_reduce(self, values: torch.Tensor, operation: dist.ReduceOp) -> None:
        self.wait_for(lambda: dist.all_reduce(values, operation, group=self._group, async_op=True))

    def wait_for(self, start: Callable[[], AsyncWork]) -> None:
        """Start an operation and wait until it is done.

        Raises:
            EngineBroken: A rank is gone, or the timeout is over.
        """
        if self.is_lost:
            raise EngineBroken("parallel_lost")
        deadline = time.monotonic() + self._timeout.total_seconds()
        try:
            work = start()
            while not _is_done(work):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no answer in {self._timeout}")
        except (RuntimeError, TimeoutError) as error:
            self.is_lost = True
            logger.error("a process that shares the talk is gone: %s", error)
            raise EngineBroken("parallel_lost") from error


class SyncGroup:
    """Ranks that synchronize: their work succeeds in all of them, or fails in all.

    Attributes:
        channel: Between them.
    """

    def __init__(self, channel: ControlChannel, *, is_follower: bool) -> None:
        """Start outside of any collective work.

        Args:
            channel: Between the ranks.
            is_follower: Whether this is not rank 0 of the whole process group.
        """
        self.channel = channel
        self._is_follower = is_follower
        self._collectives = 0
        self._is_active = False  # whether the other ranks are inside the same collective work

    @contextmanager
    def collective(self) -> Iterator[None]:
        """Work of all ranks; an error of one is raised in all.

        Raises:
            OutOfMemoryError: PyTorch's: in this process or another one.
            EngineFailed: Another process failed.
            TalkAbandoned: Rank 0 ended the work.
            EngineBroken: Another process is gone.
        """
        self._collectives += 1
        number, self._is_active = self._collectives, True
        try:
            yield
            self.barrier()
        except BaseException as error:
            if self._is_active and number == self._collectives:
                self._report(error)
            raise
        self._is_active = False

    def barrier(self, step: str = "") -> None:
        """Wait for all ranks; raise if one failed.

        Args:
            step: Name of the operation that follows, which all ranks must agree on.

        Raises:
            OutOfMemoryError, EngineFailed, TalkAbandoned, EngineBroken: See `collective`.
        """
        signal = self._exchange(Signal.CONTINUE, step)
        if signal is not Signal.CONTINUE:
            raise _error_of(signal)

    def start(self) -> None:
        """The other ranks are inside collective work from now on."""
        self._is_active = True

    def abandon(self) -> None:
        """Tell the other ranks that rank 0 has abandoned the work, if they are inside it."""
        if self._is_active:
            self._exchange(Signal.ABANDONED)

    def mark_lost(self) -> None:
        """A rank is gone, as another group has noticed: do not wait for it."""
        self.channel.is_lost = True
        self._is_active = False

    def _report(self, error: BaseException) -> None:
        """Send this rank's failure; raises a more severe one of another rank."""
        signal = Signal.FAILED if self._is_follower else Signal.ABANDONED
        if isinstance(error, torch.OutOfMemoryError):
            signal = Signal.OUT_OF_MEMORY
        largest = self._exchange(signal)
        if largest is not signal:
            raise _error_of(largest) from error

    def _exchange(self, signal: Signal, step: str = "") -> Signal:
        try:
            largest, is_same_step = self.channel.exchange(signal, zlib.crc32(step.encode()))
        except EngineBroken:
            self._is_active = False
            raise
        if largest is Signal.CONTINUE and not is_same_step:
            logger.error("the processes are out of step, this one before: %s", step)
            largest = Signal.FAILED
        if largest is not Signal.CONTINUE:
            self._is_active = False
        return largest


def _error_of(signal: Signal) -> Exception:
    if signal is Signal.OUT_OF_MEMORY:
        return torch.OutOfMemoryError("out of memory in another process")
    if signal is Signal.FAILED:
        return EngineFailed("parallel_failed")
    return TalkAbandoned()


def _is_done(work: AsyncWork) -> bool:
    """Wait for an operation for one poll interval.

    Raises:
        RuntimeError: It failed: another process is gone.
    """
    try:
        work.wait(POLL_INTERVAL)
    except RuntimeError:
        if not work.is_completed():
            return False  # only the interval is over
        work.wait(POLL_INTERVAL)  # it ended in the meantime: done, or this raises its error
    return True
