"""Where the components lie: as many on the GPU as its free memory holds.

`plans` says what each plan takes. Where one does not hold after all, the next one is taken.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import torch
from torch import nn

from multitalk.engines.base import Watch
from multitalk.engines.diffusion.buckets import Resolution
from multitalk.engines.diffusion.memory_plan import PLANS, MemoryPlan, Room
from multitalk.engines.diffusion.offload import Home, pack
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline, TalkSegment
from multitalk.errors import EngineUnavailable

VISITORS = frozenset().union(*(plan.visiting for plan in PLANS))
Homes = dict[str, Home]

logger = logging.getLogger(__name__)


def component_sizes(pipeline: MultiTalkPipeline) -> dict[str, int]:
    """Bytes of each network's weights; what has two names, as UMT5's embedding has, counts once."""
    return {
        name: sum(tensor.nbytes for tensor in chain(network.parameters(), network.buffers()))
        for name, network in _networks(pipeline)
    }


def place(
    pipeline: MultiTalkPipeline,
    plan: MemoryPlan,
    device: torch.device,
    *,
    homes: Homes | None = None,
    pinned: bool = True,
) -> None:
    """Bring every component to its place; a pipeline can go to smaller plans, not back.

    Args:
        pipeline: Its components lie on the CPU or on the device.
        plan: Says which place.
        device: That computes.
        homes: Of components that came from the CPU and may have to go back; is kept up to date.
        pinned: Whether what is streamed gets page-locked memory of its own; else it stays where it
            is on the CPU, and each block is copied once more before it goes to the device.
    """
    homes = {} if homes is None else homes
    for name, network in _networks(pipeline):
        if name in plan.streamed:
            _stream(network, device, pinned=pinned)
        elif name in plan.visiting:
            if name in homes:
                homes.pop(name).call_back()
            else:
                network.to("cpu")
        elif name in VISITORS and network.device.type == "cpu" != device.type:
            homes[name] = Home(network)
            homes[name].send(device)
        else:
            network.to(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _stream(network: nn.Module, device: torch.device, *, pinned: bool) -> None:
    """Let the blocks of a network come one by one.

    What is on the device goes from there to its place on the host, a tensor at a time.
    """
    if pinned:
        blocks = network.blocks
        try:
            pack(chain(blocks.parameters(), blocks.buffers()), pinned=device.type == "cuda")
        except torch.AcceleratorError as error:  # WSL gives half of main memory at most
            logger.warning("no page-locked memory, steps are slow: %s", error)
            pinned = False
    if not pinned:
        network.to("cpu")
    network.enable_group_offload(
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.type == "cuda",
        low_cpu_mem_usage=not pinned,
    )


def devices_of(plan: MemoryPlan, device: torch.device | str) -> dict[str, torch.device | str]:
    """Where to load each network to: straight to the device what stays there.

    Networks that a smaller plan lets visit are not among them: mapped from their files, they take
    no memory of the host, and come back there without being copied.
    """
    return {name: device for name in ("vae", "transformer") if name not in plan.streamed}


class Placement:
    """A pipeline in its place. When memory does not suffice after all, it takes the next plan.

    Attributes:
        pipeline: What lies there.
    """

    def __init__(
        self,
        pipeline: MultiTalkPipeline,
        plans: Sequence[MemoryPlan],
        device: str,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
        room: Room | None = None,
    ) -> None:
        """Bring a pipeline to its place.

        Args:
            pipeline: On the CPU, or where the first plan has it.
            plans: The one to begin with first; at least one.
            device: That computes.
            together: Around what must find room in every process that shares the talks.
            room: What the device and the host have room for; None where that is not known.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        self.pipeline = pipeline
        self._plans = list(plans)
        self._device = torch.device(device)
        self._together = together
        self._room = room
        self._homes: Homes = {}
        self._settle()

    @property
    def plan(self) -> MemoryPlan:
        """The plan in force, for this talk and the next ones."""
        return self._plans[0]

    def in_tiles(self, resolution: Resolution) -> bool:
        """Whether the VAE has to work in tiles at a resolution, with the plan in force."""
        return self._room is not None and self._room.in_tiles(self.plan, resolution)

    def segments(
        self,
        begin: Callable[[Watch], Iterator[TalkSegment]],
        watch: Watch,
        resolution: Resolution | None = None,
    ) -> Iterator[TalkSegment]:
        """A talk's segments; it begins anew with a smaller plan when memory does not suffice.

        The noise is the same again, and so are the frames: those already given out are left out.

        Args:
            begin: Begins the talk.
            watch: Told of the talk's progress, which waits while the talk catches up.
            resolution: Of the talk: a plan that has no room for it is left before the talk begins.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        given, furthest = 0, 0.0

        def told(done: float) -> None:
            nonlocal furthest
            furthest = max(furthest, done)
            watch(furthest)

        self._make_room(resolution)
        while True:
            try:
                for segment in begin(told):
                    if segment.segment.new.start >= given:
                        given = segment.segment.new.stop
                        yield segment
                return
            except torch.OutOfMemoryError:
                pass  # what the error's frames hold is free only after this block
            self._give_up()
            self._settle()

    def _make_room(self, resolution: Resolution | None) -> None:
        """Go to the plan that holds for a resolution, if one does; else the talk is tried."""
        room = self._room
        if room is None or resolution is None or room.fits(self.plan, resolution):
            return
        fitting = [plan for plan in self._plans if room.fits(plan, resolution)]
        if fitting and self._can_settle(fitting[0]):
            logger.info("%s does not fit the plan %s: now %s", resolution, self.plan, fitting[0])
            self._plans = self._plans[self._plans.index(fitting[0]) :]
            self._settle()

    def _settle(self) -> None:
        while True:
            try:
                with self._together():
                    pinned = self._room is None or self._room.has_pinned(self.plan)
                    place(self.pipeline, self.plan, self._device, homes=self._homes, pinned=pinned)
                return
            except torch.OutOfMemoryError:
                pass
            self._give_up()

    def _give_up(self) -> None:
        """Leave the plan for the next one, if there is one."""
        logger.warning("out of memory with the plan: %s", self.plan)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(self._plans) == 1 or not self._can_settle(self._plans[1]):
            raise EngineUnavailable("diffusion_out_of_memory", field="resolution")
        del self._plans[0]

    def _can_settle(self, plan: MemoryPlan) -> bool:
        """Whether the host has room for what comes back from the device; else it kills us."""
        leaves = any(
            network.device.type != "cpu"
            for name, network in _networks(self.pipeline)
            if name in plan.streamed
        )
        if leaves and self._room is not None and not self._room.has_pinned(plan):
            logger.warning(
                "the host has no memory for the plan %s: %s", plan, self._room.host(plan)
            )
            return False
        return True


def _networks(pipeline: MultiTalkPipeline) -> Iterator[tuple[str, nn.Module]]:
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module):
            yield name, component
