"""Several processes, a GPU each, that share every talk: each computes some of its tokens.

The first one leads: it has the door, and gives each talk to the others, which follow. All run the
same pipeline on the same noise, so they come to the same points in the same order. At these points
they ask each other whether all go on: before each step, and before each exchange of tokens. An
exchange that one of them would not come to is never begun.

Two branches of a step are asked at once, by a half of the processes each. Branches have different
numbers of exchanges, so those of a half ask only each other, until the halves meet again.
"""

import atexit
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig, ParallelConfig
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.utils._python_dispatch import TorchDispatchMode

from multitalk.engines.base import Watch
from multitalk.engines.diffusion.context_parallel import gathered, use_shards
from multitalk.engines.diffusion.control_channel import (
    FOR_EVER,
    PATIENCE,
    Circle,
    Notes,
    TalkLeftError,
)
from multitalk.engines.diffusion.guidance import Branch
from multitalk.engines.diffusion.launch import Launch
from multitalk.engines.diffusion.offload import has_gpu
from multitalk.engines.diffusion.sharing import Alone
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.errors import EngineBroken, EngineUnavailable, MultiTalkError

EXCHANGES = ("c10d", "_c10d_functional")  # of PyTorch's operations, but for
HERE = ("wait_tensor", "_wrap_tensor_autograd")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Half:
    """The half of the processes that this one belongs to.

    Attributes:
        network: Whose branches are asked.
        number: 0 or 1.
        circle: Of this half.
        shards: How it shares tokens out; None where it is a single process.
        meeting: Process group of this process and the one in its place in the other half.
    """

    network: MultiTalkTransformer3DModel
    number: int
    circle: Circle
    shards: ParallelConfig | None
    meeting: Any


class Team:
    """The processes that `torchrun` started together, seen from one of them.

    Attributes:
        follows: Whether this is not the first one.
        processes: How many there are.
        rank: Which of them this is.
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
        self.rank = launch.rank
        self.follows = launch.rank > 0
        self.processes = launch.num_processes
        notes = Notes(patience=FOR_EVER if self.follows else PATIENCE)
        self._all = Circle(notes, follows=self.follows)
        self._circle = self._all  # those who are asked
        self._half: _Half | None = None
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
        if self.processes % 2 == 0:
            self._half = self._split(transformer)
        asking = _AskFirst(self)

        def begin(*_: object) -> None:
            asking.__enter__()

        def end(*_: object) -> None:
            asking.__exit__(None, None, None)

        transformer.register_forward_pre_hook(begin)
        transformer.register_forward_hook(end, always_call=True)

    def _split(self, transformer: MultiTalkTransformer3DModel) -> _Half:
        device = torch.device("cuda" if has_gpu() else "cpu")
        rank, size = self.rank, self.processes // 2
        mesh = init_device_mesh(
            device.type, (2, 1, size), mesh_dim_names=("half", "ring", "ulysses")
        )
        # They wait for each other only while they compute, so nobody has more patience.
        notes = Notes(patience=PATIENCE, parts=mesh.mesh.flatten(1).tolist())
        return _Half(
            network=transformer,
            number=rank // size,
            circle=Circle(notes, follows=self.follows),
            shards=_shards(mesh["ring", "ulysses"], rank, device),
            meeting=mesh["half"].get_group(),
        )

    def answers(
        self, branches: Sequence[Branch], predict: Callable[[Branch], Tensor]
    ) -> dict[Branch, Tensor]:
        """The network's predictions for all branches, in every process.

        Two are asked at once, by a half of the processes each; one that is left over by all.

        Args:
            branches: Of one step, those with the same number of voices together.
            predict: Asks the network, for one branch; all predictions have one shape and dtype.

        Raises:
            OutOfMemoryError, EngineFailed, TalkLeftError, EngineBroken: As `together`.
        """
        found: dict[Branch, Tensor] = {}
        at_once = 1 if self._half is None else 2
        for start in range(0, len(branches), at_once):
            some = branches[start : start + at_once]
            if self._half is None or len(some) == 1:
                found[some[0]] = predict(some[0])
            else:
                with self._apart(self._half):
                    mine = predict(some[self._half.number]).contiguous()
                self.ask("predictions")
                both = [torch.empty_like(mine) for _ in some]
                dist.all_gather(both, mine, group=self._half.meeting)
                found.update(zip(some, both, strict=True))
        return found

    @contextmanager
    def _apart(self, half: _Half) -> Iterator[None]:
        """Work that only this half does together."""
        whole = half.network._parallel_config
        use_shards(half.network, half.shards)
        self._circle = half.circle
        try:
            with half.circle.together():
                yield
        except EngineBroken:
            self._all.lose()
            raise
        finally:
            self._circle = self._all
            use_shards(half.network, whole)

    def joined(self, part: Tensor, lengths: Sequence[int], dim: int) -> Tensor:
        """All processes' parts one after another along a dimension, in every process.

        Args:
            part: This process's.
            lengths: Of all parts along the dimension.
            dim: Counted from the end.

        Raises:
            OutOfMemoryError, EngineFailed, TalkLeftError, EngineBroken: As `together`.
        """
        self.ask("parts")
        return gathered(part, lengths, dim=dim)

    def least(self, value: float) -> float:
        """The smallest of all processes' values."""
        return self._all.notes.least(value)

    def together(self) -> AbstractContextManager[None]:
        """Work that all do: it has succeeded on all, or ends with an error on all.

        Raises:
            OutOfMemoryError: PyTorch's: here or in another process.
            EngineFailed: Another process failed.
            TalkLeftError: The first process has left the work.
            EngineBroken: Another process is gone.
        """
        return self._all.together()

    def watched(self, watch: Watch) -> Watch:
        """A watch before whose return all have come to the same point."""

        def ask(done: float) -> None:
            watch(done)
            self.ask()

        return ask

    def ask(self, what: str = "") -> None:
        """Come to a point of the work, and hear whether all go on; while halves work, of this half.

        Args:
            what: Is done next; who does not do the same has lost its way.

        Raises:
            OutOfMemoryError, EngineFailed, TalkLeftError, EngineBroken: As `together`.
        """
        self._circle.ask(what)

    def give(self, talk: object) -> None:
        """Have the others do what the first is about to do.

        Args:
            talk: What can be pickled.
        """
        self._all.leave()
        self._all.notes.send(talk)
        self._all.begin()

    def follow(self, render: Callable[[Any], None]) -> None:
        """Do what the first process does, until it closes.

        Args:
            render: Does what was given.

        Raises:
            EngineBroken: The first process is gone, or another one.
        """
        while (talk := self._all.notes.receive()) is not None:
            with _outlived():
                render(talk)

    def close(self) -> None:
        """Part, once or more often. The first process lets the others go."""
        atexit.unregister(self.close)
        self._half = None  # which would hold the network
        if not dist.is_initialized():
            return
        with contextlib.suppress(EngineBroken):  # they have gone already
            if not self.follows:
                self._all.leave()
                self._all.notes.send(None)
        if not self._all.notes.is_lost:
            dist.destroy_process_group()


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


def _shards(mesh: DeviceMesh, rank: int, device: torch.device) -> ParallelConfig | None:
    """How the processes of a mesh share tokens out, in the library's words."""
    if mesh.size() == 1:
        return None
    context = ContextParallelConfig(ulysses_degree=mesh.size(), mesh=mesh)
    shards = ParallelConfig(context_parallel_config=context)
    shards.setup(rank, mesh.size(), device, mesh=mesh)
    return shards


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
