"""One talk on several GPUs, a process each: context parallelism and parallel guidance branches.

Rank 0 serves the jobs and broadcasts each talk to the other ranks. All run the same pipeline on the
same noise, so they reach the same points in the same order: before each step, and before each
exchange of tensors. There a barrier makes sure that all ranks continue; an exchange that one of
them would not join is never started.

Tokens are sharded by Ulysses' all-to-all (S. Jacobs et al., "DeepSpeed Ulysses", 2023). With an
even number of processes, two branches of the guidance are computed at once, by half of the
processes each (CFG parallelism). Branches have different numbers of exchanges, so the barriers
within a half are between its own ranks only.
"""

import atexit
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig, ParallelConfig
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.utils._python_dispatch import TorchDispatchMode

from multitalk.engines.base import ProgressCallback
from multitalk.engines.diffusion.context_parallel import all_gather_uneven, set_parallel_config
from multitalk.engines.diffusion.control_channel import (
    NO_TIMEOUT,
    TIMEOUT,
    ControlChannel,
    SyncGroup,
    TalkAbandoned,
)
from multitalk.engines.diffusion.guidance import Branch
from multitalk.engines.diffusion.launch import Launch
from multitalk.engines.diffusion.offload import has_gpu
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.errors import EngineBroken, EngineUnavailable, MultiTalkError

# PyTorch's operations that exchange tensors: these namespaces, except for local operations.
EXCHANGE_NAMESPACES = ("c10d", "_c10d_functional")
LOCAL_OPERATIONS = ("wait_tensor", "_wrap_tensor_autograd")

logger = logging.getLogger(__name__)


class TalkGroup(Protocol):
    """The processes that share a talk, seen from one of them."""

    @property
    def world_size(self) -> int:
        """Number of processes."""
        ...

    @property
    def rank(self) -> int:
        """Index of this process."""
        ...

    def predict_branches(
        self, branches: Sequence[Branch], predict: Callable[[Branch], Tensor]
    ) -> dict[Branch, Tensor]:
        """The network's predictions for all branches, in every process.

        Args:
            branches: Of one step, those with the same number of voices together.
            predict: Runs the network for one branch; all predictions have one shape and dtype.
        """
        ...

    def all_gather(self, part: Tensor, lengths: Sequence[int], dim: int) -> Tensor:
        """Concatenate all processes' parts along a dimension, in every process.

        Args:
            part: Of this process.
            lengths: Of all parts along the dimension.
            dim: Counted from the end.
        """
        ...


class SingleProcess:
    """A process that shares its talks with no other."""

    is_follower: ClassVar[bool] = False
    world_size: ClassVar[int] = 1
    rank: ClassVar[int] = 0

    def parallelize(self, transformer: MultiTalkTransformer3DModel) -> None:
        """Do nothing."""

    def predict_branches(
        self, branches: Sequence[Branch], predict: Callable[[Branch], Tensor]
    ) -> dict[Branch, Tensor]:
        """Predictions for all branches, one after another."""
        return {branch: predict(branch) for branch in branches}

    def all_gather(self, part: Tensor, lengths: Sequence[int], dim: int) -> Tensor:  # noqa: ARG002
        """The part, which is the whole."""
        return part

    def all_reduce_min(self, value: float) -> float:
        """The value."""
        return value

    def collective(self) -> AbstractContextManager[None]:
        """Work of this process only."""
        return contextlib.nullcontext()

    def synchronized(self, watch: ProgressCallback) -> ProgressCallback:
        """The callback itself."""
        return watch

    def broadcast(self, talk: object) -> None:
        """Do nothing."""

    def serve_rank(self, render: Callable[[Any], None]) -> None:
        """Do nothing: there is no rank 0 to serve."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class _Half:
    """The half of the processes that this one belongs to.

    Attributes:
        network: Whose branches are computed.
        number: 0 or 1.
        sync: The ranks of this half.
        parallel_config: How the half shards tokens; None where it is a single process.
        exchange_group: This process and the one with the same place in the other half.
    """

    network: MultiTalkTransformer3DModel
    number: int
    sync: SyncGroup
    parallel_config: ParallelConfig | None
    exchange_group: Any


class ProcessGroup:
    """The processes that `torchrun` started together, seen from one of them.

    Attributes:
        is_follower: Whether this is not rank 0.
        world_size: Number of processes.
        rank: Index of this process.
    """

    def __init__(self, launch: Launch) -> None:
        """Connect to the other processes.

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
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpu() else "gloo", timeout=TIMEOUT)
        self.rank = launch.rank
        self.is_follower = launch.rank > 0
        self.world_size = launch.num_processes
        channel = ControlChannel(timeout=NO_TIMEOUT if self.is_follower else TIMEOUT)
        self._all = SyncGroup(channel, is_follower=self.is_follower)
        self._current = self._all  # the ranks that barriers wait for
        self._half: _Half | None = None
        atexit.register(self.close)  # so that an exit without closing the engine ends the others

    def parallelize(self, transformer: MultiTalkTransformer3DModel) -> None:
        """Shard the transformer's tokens over the processes (Ulysses).

        For attention, processes exchange their part of the tokens for a part of the heads. Ring
        attention sends all keys and values to every process: as much with two processes, twice as
        much with four.

        Raises:
            EngineUnavailable: The heads cannot be divided evenly among the processes.
        """
        check_heads(transformer.config.num_attention_heads, processes=self.world_size)
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=self.world_size))
        if self.world_size % 2 == 0:
            self._half = self._split(transformer)
        mode = _BarrierBeforeExchange(self)

        def enter(*_: object) -> None:
            mode.__enter__()

        def leave(*_: object) -> None:
            mode.__exit__(None, None, None)

        transformer.register_forward_pre_hook(enter)
        transformer.register_forward_hook(leave, always_call=True)

    def _split(self, transformer: MultiTalkTransformer3DModel) -> _Half:
        device = torch.device("cuda" if has_gpu() else "cpu")
        rank, size = self.rank, self.world_size // 2
        mesh = init_device_mesh(
            device.type, (2, 1, size), mesh_dim_names=("half", "ring", "ulysses")
        )
        # The ranks of a half wait for each other only while they compute, hence the short timeout.
        channel = ControlChannel(timeout=TIMEOUT, subgroups=mesh.mesh.flatten(1).tolist())
        return _Half(
            network=transformer,
            number=rank // size,
            sync=SyncGroup(channel, is_follower=self.is_follower),
            parallel_config=_parallel_config(mesh["ring", "ulysses"], rank, device),
            exchange_group=mesh["half"].get_group(),
        )

    def predict_branches(
        self, branches: Sequence[Branch], predict: Callable[[Branch], Tensor]
    ) -> dict[Branch, Tensor]:
        """The network's predictions for all branches, in every process; see `TalkGroup`.

        Two are computed at once, by half of the processes each; a single one by all.

        Raises:
            OutOfMemoryError, EngineFailed, TalkAbandoned, EngineBroken: See `collective`.
        """
        predictions: dict[Branch, Tensor] = {}
        at_once = 1 if self._half is None else 2
        for start in range(0, len(branches), at_once):
            pair = branches[start : start + at_once]
            if self._half is None or len(pair) == 1:
                predictions[pair[0]] = predict(pair[0])
            else:
                with self._in_half(self._half):
                    own = predict(pair[self._half.number]).contiguous()
                self.barrier("predictions")
                both = [torch.empty_like(own) for _ in pair]
                dist.all_gather(both, own, group=self._half.exchange_group)
                predictions.update(zip(pair, both, strict=True))
        return predictions

    @contextmanager
    def _in_half(self, half: _Half) -> Iterator[None]:
        """Collective work of this half only."""
        whole = half.network._parallel_config
        set_parallel_config(half.network, half.parallel_config)
        self._current = half.sync
        try:
            with half.sync.collective():
                yield
        except EngineBroken:
            self._all.mark_lost()
            raise
        finally:
            self._current = self._all
            set_parallel_config(half.network, whole)

    def all_gather(self, part: Tensor, lengths: Sequence[int], dim: int) -> Tensor:
        """Concatenate all processes' parts along a dimension; see `TalkGroup`.

        Raises:
            OutOfMemoryError, EngineFailed, TalkAbandoned, EngineBroken: See `collective`.
        """
        self.barrier("parts")
        return all_gather_uneven(part, lengths, dim=dim)

    def all_reduce_min(self, value: float) -> float:
        """The smallest of all processes' values."""
        return self._all.channel.all_reduce_min(value)

    def collective(self) -> AbstractContextManager[None]:
        """Work of all processes; an error of one is raised in all.

        Raises:
            OutOfMemoryError: PyTorch's: in this process or another one.
            EngineFailed: Another process failed.
            TalkAbandoned: Rank 0 ended the work.
            EngineBroken: Another process is gone.
        """
        return self._all.collective()

    def synchronized(self, watch: ProgressCallback) -> ProgressCallback:
        """A progress callback that ends with a barrier."""

        def report(done: float) -> None:
            watch(done)
            self.barrier()

        return report

    def barrier(self, step: str = "") -> None:
        """Wait for all processes, or those of this half while halves work; raise if one failed.

        Args:
            step: Name of the operation that follows, which all must agree on.

        Raises:
            OutOfMemoryError, EngineFailed, TalkAbandoned, EngineBroken: See `collective`.
        """
        self._current.barrier(step)

    def broadcast(self, talk: object) -> None:
        """Send the other ranks the talk that rank 0 is about to render.

        Args:
            talk: A picklable object.
        """
        self._all.abandon()
        self._all.channel.broadcast(talk)
        self._all.start()

    def serve_rank(self, render: Callable[[Any], None]) -> None:
        """Render each talk that rank 0 broadcasts, until it closes.

        Raises:
            EngineBroken: Another process is gone.
        """
        while (talk := self._all.channel.receive()) is not None:
            with _contain_talk_errors():
                render(talk)

    def close(self) -> None:
        """Disconnect, once or more often. Rank 0 ends the other ranks."""
        atexit.unregister(self.close)
        self._half = None  # which refers to the network
        if not dist.is_initialized():
            return
        with contextlib.suppress(EngineBroken):  # they are gone already
            if not self.is_follower:
                self._all.abandon()
                self._all.channel.broadcast(None)
        if not self._all.channel.is_lost:
            dist.destroy_process_group()


class _BarrierBeforeExchange(TorchDispatchMode):
    """A barrier before each operation that exchanges tensors between processes."""

    def __init__(self, group: ProcessGroup) -> None:
        super().__init__()
        self._group = group

    def __torch_dispatch__(
        self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        namespace, _, name = operation.name().partition("::")
        if namespace in EXCHANGE_NAMESPACES and name not in LOCAL_OPERATIONS:
            self._group.barrier(name)
        return operation(*args, **(kwargs or {}))


def connect() -> SingleProcess | ProcessGroup:
    """The processes that share this one's talks, by the launcher's environment variables.

    Raises:
        EngineUnavailable: There is no GPU for this process.
    """
    launch = Launch.from_env(os.environ)
    return SingleProcess() if launch is None else ProcessGroup(launch)


def check_heads(heads: int, *, processes: int) -> None:
    """Refuse a number of processes that does not divide the number of attention heads.

    Raises:
        EngineUnavailable: It lists the numbers that do.
    """
    if heads % processes:
        numbers = ", ".join(str(n) for n in range(2, heads + 1) if heads % n == 0)
        raise EngineUnavailable("parallel_heads", processes=processes, heads=heads, numbers=numbers)


def _parallel_config(mesh: DeviceMesh, rank: int, device: torch.device) -> ParallelConfig | None:
    """Diffusers' context parallelism over the processes of a mesh."""
    if mesh.size() == 1:
        return None
    context = ContextParallelConfig(ulysses_degree=mesh.size(), mesh=mesh)
    config = ParallelConfig(context_parallel_config=context)
    config.setup(rank, mesh.size(), device, mesh=mesh)
    return config


@contextmanager
def _contain_talk_errors() -> Iterator[None]:
    """Log an error that ends a talk, and let the follower go on; rank 0's caller gets it."""
    try:
        yield
    except EngineBroken:
        raise
    except torch.AcceleratorError as error:
        raise EngineBroken("diffusion_gpu_lost") from error
    except TalkAbandoned:
        logger.info("rank 0 abandoned the talk")
    except (MultiTalkError, RuntimeError, ValueError, ArithmeticError):
        logger.exception("a talk failed in this process")
