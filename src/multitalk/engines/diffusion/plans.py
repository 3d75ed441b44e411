"""Memory plans: what lies on the GPU, and how much memory that takes; needs no torch.

Which plan fits follows from the sizes of the weights, told from their files' headers, and from the
frame's size. What a step and the VAE take grows with the frame's pixels alone, as counted tensor by
tensor on networks of the real size (`benchmarks/count_memory.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from multitalk.engines.diffusion.buckets import BUCKETS, DEFAULT_RESOLUTION, Resolution
from multitalk.engines.diffusion.weight_sizes import NetworkBytes

VaeDtype = Literal["float32", "bfloat16"]
GIB = 2**30

# Bytes a pixel of the frame, for windows of 81 frames.
STEP_BYTES = 11_120
DECODE_BYTES: Mapping[VaeDtype, int] = {"float32": 20_500, "bfloat16": 10_660}
ENCODE_BYTES: Mapping[VaeDtype, int] = {"float32": 15_110, "bfloat16": 8_920}
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
    """Which components are not on the GPU all the time.

    Attributes:
        name: For the operator.
        visiting: Come to the GPU while they work.
        streamed: Come block by block, each while the one before works.
    """

    name: str
    visiting: frozenset[str] = frozenset()
    streamed: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def gpu_bytes(self, sizes: Mapping[str, NetworkBytes], working_bytes: int) -> int:
        """GPU memory for networks of these sizes, while a step or the largest visitor works."""
        away = self.visiting | self.streamed
        staying = sum(size.whole for name, size in sizes.items() if name not in away)
        blocks = sum(sizes[name].streamed for name in self.streamed & sizes.keys())
        visitors = [sizes[name].whole for name in self.visiting & sizes.keys()]
        return staying + max([blocks + working_bytes, *visitors]) + HEADROOM_BYTES

    def host_bytes(self, sizes: Mapping[str, NetworkBytes], *, pinned: bool = True) -> int:
        """Main memory beside mapped files, which the system takes back where it is short.

        Args:
            sizes: Of the networks.
            pinned: Whether what is streamed lies in page-locked memory; else it stays in its file.
        """
        visitors = sum(sizes[name].converted for name in self.visiting & sizes.keys())
        streamed = [sizes[name] for name in self.streamed & sizes.keys()]
        if pinned:
            return HOST_BYTES + visitors + sum(size.whole for size in streamed)
        return HOST_BYTES + visitors + sum(size.converted + size.streamed for size in streamed)


PLANS = (
    MemoryPlan("resident"),
    MemoryPlan("encoders-visit", visiting=frozenset({"text_encoder", "image_encoder"})),
    MemoryPlan(
        "streamed",
        visiting=frozenset({"text_encoder", "image_encoder", "audio_encoder"}),
        streamed=frozenset({"transformer"}),
    ),
)


def working_bytes(pixels: int, vae_dtype: VaeDtype, *, in_tiles: bool) -> int:
    """What computing takes beside the weights; in tiles, the VAE takes less than a step.

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
class Room:
    """What a GPU has room for.

    Attributes:
        sizes: Of the networks, by the names of the pipeline's components.
        free_bytes: Of the GPU, before anything is loaded.
        vae_dtype: Of the VAE's numbers.
        host_bytes: Of the host, for this process, before anything is loaded.
        pixels: Of the largest frame at each resolution.
        in_strips: Whether several processes compute a strip of the frame each with the VAE, which
            takes less than a step, whatever the VAE's numbers.
    """

    sizes: Mapping[str, NetworkBytes]
    free_bytes: float
    vae_dtype: VaeDtype = "bfloat16"
    host_bytes: float = math.inf
    pixels: Mapping[Resolution, int] = field(default_factory=lambda: LARGEST)
    in_strips: bool = False

    def needed(self, plan: MemoryPlan, resolution: Resolution, *, in_tiles: bool = True) -> int:
        """Bytes of the GPU that a plan takes at a resolution."""
        working = working_bytes(self.pixels[resolution], self.vae_dtype, in_tiles=in_tiles)
        return plan.gpu_bytes(self.sizes, working)

    def fits(self, plan: MemoryPlan, resolution: Resolution) -> bool:
        """Whether talks of a resolution can be made by a plan, if need be with the VAE in tiles."""
        return self.needed(plan, resolution) <= self.free_bytes

    def in_tiles(self, plan: MemoryPlan, resolution: Resolution) -> bool:
        """Whether the VAE has to work in tiles for that."""
        at_once = self.needed(plan, resolution, in_tiles=False)
        return not self.in_strips and at_once > self.free_bytes

    def plan_for(self, resolution: Resolution) -> MemoryPlan:
        """The fastest plan for a resolution; the smallest where none fits."""
        return next((plan for plan in PLANS if self.fits(plan, resolution)), PLANS[-1])

    def plans(self) -> tuple[MemoryPlan, ...]:
        """The plans to try, that to begin with first.

        A worker is asked for either resolution and can go to smaller plans only. It begins with the
        plan that holds for both, unless that streams the transformer and 480p need not: then with
        that of 480p, and the first talk at 720p takes the worker to the plan for 720p.
        """
        small, large = self.plan_for(DEFAULT_RESOLUTION), self.plan_for("720p")
        first = small if large.streamed and not small.streamed else large
        return PLANS[PLANS.index(first) :]

    def has_pinned(self, plan: MemoryPlan) -> bool:
        """Whether the host has page-locked memory for what a plan streams."""
        return plan.host_bytes(self.sizes) <= self.host_bytes

    def has_host(self, plan: MemoryPlan) -> bool:
        """Whether the host has memory for a plan, page-locked or not."""
        return plan.host_bytes(self.sizes, pinned=False) <= self.host_bytes

    def host(self, plan: MemoryPlan) -> str:
        """What a plan takes of the host, for the log and `multitalk doctor`."""
        said = f"{self.host_bytes / GIB:.1f} GiB of main memory free; {plan} takes "
        said += f"{plan.host_bytes(self.sizes) / GIB:.1f} beside mapped files"
        if self.has_pinned(plan):
            return said
        less = plan.host_bytes(self.sizes, pinned=False)
        if plan.streamed and self.has_host(plan):
            return f"{said}, or {less / GIB:.1f} and is slow: nothing is page-locked"
        return f"{said}, more than is free"

    def said(self) -> str:
        """What fits, for the log and for `multitalk doctor`."""
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
