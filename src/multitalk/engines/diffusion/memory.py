"""Where the components lie: as many on the GPU as its free memory holds.

Three plans, from the fastest to the smallest. Which one fits follows from the components' own
sizes, so that it is right for 8-bit and for 16-bit weights alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from multitalk.engines.diffusion.pipeline import MultiTalkPipeline

# Activations of one segment at 720p, and what decoding it takes. Estimated, not measured: a plan
# that turns out too large is left for the next one.
WORKING_BYTES = 12 * 2**30
# Of a streamed transformer on the GPU: two of 40 blocks and what is in no block, rounded up.
STREAMED_SHARE = 1 / 8


@dataclass(frozen=True)
class MemoryPlan:
    """Which components are not on the GPU all the time.

    Attributes:
        name: For the log.
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
    MemoryPlan("encoders visit", visiting=frozenset({"text_encoder", "image_encoder"})),
    MemoryPlan(
        "transformer streamed",
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
    """Bytes of each network's weights."""
    return {
        name: sum(tensor.nbytes for tensor in network.state_dict().values())
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


def _networks(pipeline: MultiTalkPipeline) -> Iterator[tuple[str, nn.Module]]:
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module):
            yield name, component
