"""Several processes, a GPU each, that share every talk: each computes some of its tokens.

The first one leads: it has the door, and gives each talk to the others, which follow. All run the
same pipeline on the same noise, so they come to the same points in the same order. At these points
they compare notes: before each step, and before each exchange of tokens. Whoever failed in between
says so at the next point, where the others wait, and all leave the talk there: an exchange that one
of them would not come to is never begun.
"""

import atexit
import contextlib
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from torch.utils._python_dispatch import TorchDispatchMode

from multitalk.engines.base import Watch
from multitalk.engines.diffusion.launch import Launch
from multitalk.engines.diffusion.memory import has_gpu
from multitalk.engines.diffusion.notes import FOR_EVER, PATIENCE, Note, Notes
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.errors import EngineBroken, EngineFailed, EngineUnavailable, MultiTalkError

EXCHANGES = ("c10d", "_c10d_functional")  # of PyTorch's operations, but for
HERE = ("wait_tensor", "_wrap_tensor_autograd")

logger = logging.getLogger(__name__)


class TalkLeftError(Exception):
    """The first process ended the talk: nothing is wrong here."""


class Alone:
    """One process that shares its talks with nobody."""

    follows: ClassVar[bool] = False
    processes: ClassVar[int] = 1

    def share(self, transformer: MultiTalkTransformer3DModel) -> None:
        """Nothing to share."""

    def least(self, value: float) -> float:
        """The value."""
        return value

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Work that only this process does."""
        return contextlib.nullcontext()

    def watched(self, watch: Watch) -> Watch:
        """The watch itself."""
        return watch

    def give(self, talk: object) -> None:
        """Nobody to give a talk to."""

    def follow(self, render: Callable[[Any], None]) -> None:
        """Nobody to follow."""

    def close(self) -> None:
        """Nothing to close."""


class Team:
    """The processes that `torchrun` started together, seen from one of them.

    Attributes:
        follows: Whether this is not the first one.
        processes: How many there are.
    """

    def __init__(self, launch: Launch) -> None:
        """Meet the others.

        Raises:
            EngineUnavailable: There is no GPU for this process.
        """
        devices = torch.accelerator.device_count()
        if launch.local_rank >= devices:
            raise EngineUnavailable(
                "parallel_needs_gpus", number=launch.local_rank + 1, devices=devices
            )
        if has_gpu():
            torch.cuda.set_device(launch.local_rank)
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpu() else "gloo", timeout=PATIENCE)
        self.follows = launch.rank > 0
        self.processes = launch.num_processes
        self._notes = Notes(patience=FOR_EVER if self.follows else PATIENCE)
        self._stretch = 0  # number of the work in hand
        self._is_open = False  # whether the others are in it, too
        atexit.register(self.close)  # a door that ends without closing its engine lets them go, too

    def share(self, transformer: MultiTalkTransformer3DModel) -> None:
        """Give each process a part of the transformer's tokens (Ulysses).

        For attention, they exchange their part of the tokens for a part of the heads. The other way
        there is, a ring, hands keys and values to everyone: as much to send with two processes,
        twice as much with four.

        Raises:
            EngineUnavailable: The network's heads cannot be shared out evenly.
        """
        check_heads(transformer.config.num_attention_heads, processes=self.processes)
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=self.processes))
        asking = _AskFirst(self)

        def begin(*_: object) -> None:
            asking.__enter__()

        def end(*_: object) -> None:
            asking.__exit__(None, None, None)

        transformer.register_forward_pre_hook(begin)
        transformer.register_forward_hook(end, always_call=True)

    def least(self, value: float) -> float:
        """The smallest of all processes' values."""
        return self._notes.least(value)

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

    def watched(self, watch: Watch) -> Watch:
        """A watch before whose return all have come to the same point."""

        def ask(done: float) -> None:
            watch(done)
            self.ask()

        return ask

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

    def give(self, talk: object) -> None:
        """Have the others do what the first is about to do.

        Args:
            talk: What can be pickled.
        """
        self._leave()
        self._notes.send(talk)
        self._is_open = True

    def follow(self, render: Callable[[Any], None]) -> None:
        """Do what the first process does, until it closes.

        Args:
            render: Does what was given.

        Raises:
            EngineBroken: The first process is gone, or another one.
        """
        while (talk := self._notes.receive()) is not None:
            with _outlived():
                render(talk)

    def close(self) -> None:
        """Part, once or more often. The first process lets the others go."""
        atexit.unregister(self.close)
        if not dist.is_initialized():
            return
        with contextlib.suppress(EngineBroken):  # they have gone already
            if not self.follows:
                self._leave()
                self._notes.send(None)
        if not self._notes.is_lost:
            dist.destroy_process_group()

    def _leave(self) -> None:
        """Have the others leave work that was left without a word."""
        if self._is_open:
            self._exchange(Note.LEFT)

    def _tell(self, error: BaseException) -> None:
        """Say what ended the work here; what was worse elsewhere is raised."""
        note = Note.FAILED if self.follows else Note.LEFT
        if isinstance(error, torch.OutOfMemoryError):
            note = Note.OUT_OF_MEMORY
        heard = self._exchange(note)
        if heard is not note:
            raise _error_of(heard) from error

    def _exchange(self, note: Note, what: str = "") -> Note:
        try:
            heard, is_same_place = self._notes.exchange(note, zlib.crc32(what.encode()))
        except EngineBroken:
            self._is_open = False
            raise
        if heard is Note.GO_ON and not is_same_place:
            logger.error("the processes of a talk have lost each other, here before: %s", what)
            heard = Note.FAILED
        if heard is not Note.GO_ON:
            self._is_open = False
        return heard


class _AskFirst(TorchDispatchMode):
    """Before processes exchange tensors, they ask each other whether all of them will."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    def __torch_dispatch__(
        self, operation: Any, _kinds: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        namespace, _, name = operation.name().partition("::")
        if namespace in EXCHANGES and name not in HERE:
            self._team.ask(name)
        return operation(*arguments, **(keywords or {}))


def assemble() -> Alone | Team:
    """Those that share this process's talks, as it was started.

    Raises:
        EngineUnavailable: There is no GPU for this process.
    """
    launch = Launch.from_env(os.environ)
    return Alone() if launch is None else Team(launch)


def check_heads(heads: int, *, processes: int) -> None:
    """Refuse a number of processes among which a network's heads cannot be shared out evenly.

    Raises:
        EngineUnavailable: It says which numbers can.
    """
    if heads % processes:
        numbers = ", ".join(str(n) for n in range(2, heads + 1) if heads % n == 0)
        raise EngineUnavailable("parallel_heads", processes=processes, heads=heads, numbers=numbers)


def _error_of(note: Note) -> Exception:
    if note is Note.OUT_OF_MEMORY:
        return torch.OutOfMemoryError("out of memory in another process")
    if note is Note.FAILED:
        return EngineFailed("parallel_failed")
    return TalkLeftError()


@contextmanager
def _outlived() -> Iterator[None]:
    """What ends a talk does not end one that follows; the first one's caller is told."""
    try:
        yield
    except EngineBroken:
        raise
    except torch.AcceleratorError as error:
        raise EngineBroken("diffusion_gpu_lost") from error
    except TalkLeftError:
        logger.info("the first process left the talk")
    except (MultiTalkError, RuntimeError, ValueError, ArithmeticError):
        logger.exception("a talk failed in this process")
