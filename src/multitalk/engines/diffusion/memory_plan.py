"""Memory plans: the components that stay on the GPU, and the memory that takes; needs no torch.

The working memory of a step and of the VAE grows with the frame's pixels alone, as counted by
tensor on networks of the real size (`benchmarks/count_memory.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from multitalk.engines.diffusion.network_sizes import NetworkBytes
from multitalk.engines.diffusion.resolution_buckets import BUCKETS, DEFAULT_RESOLUTION, Resolution

VaeDtype = Literal["float32", "bfloat16"]
GIB = 2**30

# Bytes a pixel of the frame, for windows of 81 frames.
STEP_BYTES = 9_400
DECODE_BYTES: Mapping[VaeDtype, int] = {"float32": 20_500, "bfloat16": 10_660}
ENCODE_BYTES: Mapping[VaeDtype, int] = {"float32": 15_110, "bfloat16": 8_920}
# Of the VAE in strips, with two processes; with more it takes less.
STRIP_BYTES: Mapping[VaeDtype, int] = {"float32": 10_600, "bfloat16": 5_790}
# For cuDNN's workspaces and gaps between tensors. Estimated, not measured.
HEADROOM_BYTES = GIB
# Of the host, beside weights: PyTorch with CUDA's libraries, and a talk's frames. Estimated.
HOST_BYTES = 3 * GIB

LARGEST: Mapping[Resolution, int] = {
    resolution: max(height * width for height, width in buckets.values())
    for resolution, buckets in BUCKETS.items()
}


@dataclass(frozen=True)
class MemoryPlan:
    """The components that are not on the GPU all the time.

    Attributes:
        name: For the operator.
        offloaded: Copied to the GPU while they work.
        streamed: Copied block by block, each while the one before works.
    """

    name: str
    offloaded: frozenset[str] = frozenset()
    streamed: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def gpu_bytes(self, sizes: Mapping[str, NetworkBytes], working_bytes: int) -> int:
        """GPU memory for networks of these sizes, at the peak of a step or of an encoder."""
        away = self.offloaded | self.streamed
        staying = sum(size.whole for name, size in sizes.items() if name not in away)
        blocks = sum(sizes[name].streamed for name in self.streamed & sizes.keys())
        offloaded = [sizes[name].whole for name in self.offloaded & sizes.keys()]
        return staying + max([blocks + working_bytes, *offloaded]) + HEADROOM_BYTES

    def host_bytes(self, sizes: Mapping[str, NetworkBytes], *, pinned: bool = True) -> int:
        """Main memory, without mapped files, whose pages the system can reclaim.

        Args:
            sizes: Of the networks.
            pinned: Whether streamed weights are in page-locked memory; else they stay in the file.
        """
        offloaded = sum(sizes[name].converted for name in self.offloaded & sizes.keys())
        streamed = [sizes[name] for name in self.streamed & sizes.keys()]
        if pinned:
            return HOST_BYTES + offloaded + sum(size.whole for size in streamed)
        return HOST_BYTES + offloaded + sum(size.converted + size.streamed for size in streamed)


PLANS = (
    MemoryPlan("resident"),
    MemoryPlan("encoders-visit", offloaded=frozenset({"text_encoder", "image_encoder"})),
    MemoryPlan(
        "streamed",
        offloaded=frozenset({"text_encoder", "image_encoder", "audio_encoder"}),
        streamed=frozenset({"transformer"}),
    ),
)


def working_bytes(pixels: int, vae_dtype: VaeDtype, *, in_tiles: bool) -> int:
    """Working memory without weights; in tiles, the VAE takes less than a step.

    Args:
        pixels: Of a frame.
        vae_dtype: Of the VAE's numbers.
        in_tiles: Whether the VAE works in tiles.
    """
    step = STEP_BYTES * pixels
    if in_tiles:
        return step
    return max(step, pixels * max(DECODE_BYTES[vae_dtype], ENCODE_BYTES[vae_dtype]))


@dataclass(frozen=True)
class MemoryBudget:
    """Free memory of a GPU and of the host, and what fits in it.

    Attributes:
        sizes: Of the networks, by the names of the pipeline's components.
        free_bytes: Of the GPU, before anything is loaded.
        vae_dtype: Of the VAE's numbers.
        host_bytes: Of the host, for this process, before anything is loaded.
        pixels: Of the largest frame at each resolution.
        in_strips: Whether several processes compute a strip of the frame each with the VAE.
    """

    sizes: Mapping[str, NetworkBytes]
    free_bytes: float
    vae_dtype: VaeDtype = "bfloat16"
    host_bytes: float = math.inf
    pixels: Mapping[Resolution, int] = field(default_factory=lambda: LARGEST)
    in_strips: bool = False

    def needed(self, plan: MemoryPlan, resolution: Resolution, *, in_tiles: bool = True) -> int:
        """Bytes of the GPU that a plan takes at a resolution."""
        pixels = self.pixels[resolution]
        working = working_bytes(pixels, self.vae_dtype, in_tiles=in_tiles)
        if self.in_strips:
            working = max(working, pixels * STRIP_BYTES[self.vae_dtype])
        return plan.gpu_bytes(self.sizes, working)

    def fits(self, plan: MemoryPlan, resolution: Resolution) -> bool:
        """True if a plan fits talks of a resolution, if need be with the VAE in tiles."""
        return self.needed(plan, resolution) <= self.free_bytes

    def in_tiles(self, plan: MemoryPlan, resolution: Resolution) -> bool:
        """True if it fits with the VAE in tiles only."""
        at_once = self.needed(plan, resolution, in_tiles=False)
        return not self.in_strips and at_once > self.free_bytes

    def plan_for(self, resolution: Resolution) -> MemoryPlan:
        """The fastest plan for a resolution; the smallest where none fits."""
        return next((plan for plan in PLANS if self.fits(plan, resolution)), PLANS[-1])

    def plans(self) -> tuple[MemoryPlan, ...]:
        """The plans to try, in order.

        A worker renders both resolutions and can go to smaller plans only. It begins with the plan
        that fits both, unless that streams the transformer and the one for 480p does not: then with
        the latter, and the first talk at 720p changes the plan for good.
        """
        small, large = self.plan_for(DEFAULT_RESOLUTION), self.plan_for("720p")
        first = small if large.streamed and not small.streamed else large
        return PLANS[PLANS.index(first) :]

    def has_pinned(self, plan: MemoryPlan) -> bool:
        """True if the host has page-locked memory for the weights that a plan streams."""
        return plan.host_bytes(self.sizes) <= self.host_bytes

    def has_host(self, plan: MemoryPlan) -> bool:
        """True if the host has memory for a plan, page-locked or not."""
        return plan.host_bytes(self.sizes, pinned=False) <= self.host_bytes

    def host(self, plan: MemoryPlan) -> str:
        """Main memory of a plan, for the log and `multitalk doctor`."""
        text = f"{self.host_bytes / GIB:.1f} GiB of main memory free; {plan} takes "
        text += f"{plan.host_bytes(self.sizes) / GIB:.1f} beside mapped files"
        if self.has_pinned(plan):
            return text
        less = plan.host_bytes(self.sizes, pinned=False)
        if plan.streamed and self.has_host(plan):
            return f"{text}, or {less / GIB:.1f} and is slow: nothing is page-locked"
        return f"{text}, more than is free"

    def summary(self) -> str:
        """The plans that fit, for the log and for `multitalk doctor`."""
        first = self.plans()[0]
        parts = [f"{self.free_bytes / GIB:.1f} GiB of GPU memory free"]
        for resolution in BUCKETS:
            plan = first if self.fits(first, resolution) else self.plan_for(resolution)
            need = f"{resolution}: {plan.name}, {self.needed(plan, resolution) / GIB:.1f} GiB"
            if not self.fits(plan, resolution):
                need += ", more than is free"
            elif self.in_tiles(plan, resolution):
                need += ", VAE in tiles"
            parts.append(need)
        large = self.plan_for("720p")
        if PLANS.index(large) > PLANS.index(first) and self.fits(large, "720p"):
            parts.append(f"begins with {first.name}, which the first talk at 720p changes for good")
        return "; ".join(parts)
