"""Where the components lie: as many on the GPU as its free memory holds.

Three plans, from the fastest to the smallest. Which one fits follows from the components' own
sizes, so that it is right for 8-bit and for 16-bit weights alike; where it does not fit after all,
the next one is taken.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from multitalk.engines.base import Watch
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline, TalkSegment
from multitalk.errors import EngineUnavailable

# Activations of one segment at 720p, and what decoding it takes. Estimated, not measured: a plan
# that turns out too large is left for the next one.
WORKING_BYTES = 12 * 2**30
# Of a streamed transformer on the GPU: two of 40 blocks and what is in no block, rounded up.
STREAMED_SHARE = 1 / 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemoryPlan:
    """Which components are not on the GPU all the time.

    Attributes:
        name: For the operator.
        visiting: Come to the GPU while they work.
        streamed: Come block by block, each while the one before works.
    """

    name: str
    visiting: frozenset[str] = frozenset()
    streamed: frozenset[str] = frozenset()

    def bytes_needed(self, sizes: Mapping[str, int]) -> float:
        """GPU memory for components of so many bytes, while the largest visitor or a step works."""
        staying = sum(
            size * (STREAMED_SHARE if name in self.streamed else 1.0)
            for name, size in sizes.items()
            if name not in self.visiting
        )
        visitors = [size for name, size in sizes.items() if name in self.visiting]
        return staying + max([WORKING_BYTES, *visitors])


PLANS = (
    MemoryPlan("resident"),
    MemoryPlan("encoders-visit", visiting=frozenset({"text_encoder", "image_encoder"})),
    MemoryPlan(
        "streamed",
        visiting=frozenset({"text_encoder", "image_encoder", "audio_encoder"}),
        streamed=frozenset({"transformer"}),
    ),
)


def has_gpu() -> bool:
    """Whether PyTorch finds a GPU."""
    return bool(torch.cuda.is_available())


def plans_that_fit(sizes: Mapping[str, int], free_bytes: float) -> tuple[MemoryPlan, ...]:
    """The plans to try, the fastest first; the smallest is always worth a try."""
    fitting = tuple(plan for plan in PLANS if plan.bytes_needed(sizes) <= free_bytes)
    return fitting or PLANS[-1:]


def component_sizes(pipeline: MultiTalkPipeline) -> dict[str, int]:
    """Bytes of each network's weights; what has two names, as UMT5's embedding has, counts once."""
    return {
        name: sum(tensor.nbytes for tensor in chain(network.parameters(), network.buffers()))
        for name, network in _networks(pipeline)
    }


def place(pipeline: MultiTalkPipeline, plan: MemoryPlan, device: torch.device) -> None:
    """Bring every component to its place; a pipeline can go to smaller plans, not back."""
    for name, network in _networks(pipeline):
        network.to("cpu" if name in plan.visiting | plan.streamed else device)
        if name in plan.streamed:
            network.enable_group_offload(
                onload_device=device,
                offload_device=torch.device("cpu"),
                offload_type="block_level",
                num_blocks_per_group=1,
                use_stream=device.type == "cuda",
            )
    if device.type == "cuda":
        torch.cuda.empty_cache()


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
    ) -> None:
        """Bring a pipeline to its place.

        Args:
            pipeline: On the CPU.
            plans: The one to begin with first; at least one.
            device: That computes.
            together: Around what must find room in every process that shares the talks.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        self.pipeline = pipeline
        self._plans = list(plans)
        self._device = torch.device(device)
        self._together = together
        self._settle()

    @property
    def plan(self) -> MemoryPlan:
        """The plan in force, for this talk and the next ones."""
        return self._plans[0]

    def segments(
        self, begin: Callable[[Watch], Iterator[TalkSegment]], watch: Watch
    ) -> Iterator[TalkSegment]:
        """A talk's segments; it begins anew with a smaller plan when memory does not suffice.

        The noise is the same again, and so are the frames: those already given out are left out.

        Args:
            begin: Begins the talk.
            watch: Told of the talk's progress, which waits while the talk catches up.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        given, furthest = 0, 0.0

        def told(done: float) -> None:
            nonlocal furthest
            furthest = max(furthest, done)
            watch(furthest)

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

    def _settle(self) -> None:
        while True:
            try:
                with self._together():
                    place(self.pipeline, self.plan, self._device)
                return
            except torch.OutOfMemoryError:
                pass
            self._give_up()

    def _give_up(self) -> None:
        """Leave the plan for the next one, if there is one."""
        logger.warning("out of memory with the plan: %s", self.plan.name)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(self._plans) == 1:
            raise EngineUnavailable("diffusion_out_of_memory", field="resolution")
        del self._plans[0]


def _networks(pipeline: MultiTalkPipeline) -> Iterator[tuple[str, nn.Module]]:
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module):
            yield name, component
