"""Offloading: networks whose weights are on the host and are copied to the GPU while they work."""

import logging
from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from diffusers import DiffusionPipeline
from torch import nn

from multitalk.engines.diffusion.memory_plan import PLANS, MemoryPlan

PIECE_BYTES = 2**30  # a power of two, so that nothing is lost to rounding
ALIGNMENT = 512  # bytes, as PyTorch's allocators align
OFFLOADABLE = frozenset().union(*(plan.offloaded for plan in PLANS))

logger = logging.getLogger(__name__)


def has_gpu() -> bool:
    """True if PyTorch finds a GPU."""
    return bool(torch.cuda.is_available())


class OffloadedWeights:
    """Weights of a network on the host.

    They are kept there while the network is on a device, so that offloading copies nothing, and
    weights that are mapped from a file take no memory of the host.
    """

    def __init__(self, network: nn.Module) -> None:
        """Remember the tensors of a network as they are now."""
        tensors = chain(network.parameters(), network.buffers())
        self._tensors = [(tensor, tensor.data) for tensor in tensors]

    def onload(self, device: torch.device) -> None:
        """Copy the weights to a device.

        Raises:
            OutOfMemoryError: PyTorch's; some of them are there: `offload` releases them.
        """
        for tensor, data in self._tensors:
            tensor.data = data.to(device)

    def offload(self) -> None:
        """Use the weights on the host again, and release those on the device."""
        for tensor, data in self._tensors:
            tensor.data = data


def component_sizes(pipeline: DiffusionPipeline) -> dict[str, int]:
    """Bytes of each network's weights; tied tensors, as UMT5's embedding, count once."""
    return {
        name: sum(tensor.nbytes for tensor in chain(network.parameters(), network.buffers()))
        for name, network in networks(pipeline)
    }


def place(
    pipeline: DiffusionPipeline,
    plan: MemoryPlan,
    device: torch.device,
    *,
    offloaded: dict[str, OffloadedWeights] | None = None,
    pinned: bool = True,
) -> None:
    """Move every component to its device; a pipeline can go to smaller plans, not back.

    Args:
        pipeline: Its components are on the CPU or on the device.
        plan: Which component is where.
        device: That computes.
        offloaded: Weights on the CPU of components on the device that a smaller plan offloads, by
            component; is kept up to date.
        pinned: Whether streamed weights get page-locked memory of their own; else they stay where
            they are on the CPU, and each block is copied once more before it goes to the device.
    """
    offloaded = {} if offloaded is None else offloaded
    for name, network in networks(pipeline):
        if name in plan.streamed:
            _stream(network, device, pinned=pinned)
        elif name not in plan.offloaded:
            _move_to_device(name, network, device, offloaded)
        elif name in offloaded:
            offloaded.pop(name).offload()
        else:
            network.to("cpu")
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _move_to_device(
    name: str, network: nn.Module, device: torch.device, offloaded: dict[str, OffloadedWeights]
) -> None:
    """Move a network, and keep its weights on the CPU where a smaller plan offloads it."""
    if name in OFFLOADABLE and network.device.type == "cpu" != device.type:
        offloaded[name] = OffloadedWeights(network)
        offloaded[name].onload(device)
    else:
        network.to(device)


def _stream(network: nn.Module, device: torch.device, *, pinned: bool) -> None:
    """Stream the blocks of a network to the device, each while the one before works.

    Tensors on the device go to the host one at a time.
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
    """The networks to load straight to the device, with it: those that every plan keeps there.

    Networks that a smaller plan offloads are not among them: mapped from their files, they take no
    memory of the host, and offloading them copies nothing.
    """
    return {name: device for name in ("vae", "transformer") if name not in plan.streamed}


def pack(
    tensors: Iterable[torch.Tensor], *, pinned: bool, piece_bytes: int = PIECE_BYTES
) -> list[torch.Tensor]:
    """Move tensors into large pieces of main memory, one at a time.

    A GPU copies from page-locked memory while it computes. PyTorch rounds every piece of it up to a
    power of two, which for one piece a tensor, as the library pins them, is half as much again for
    Wan's blocks.

    Args:
        tensors: On any device; their old memory is released as each is copied.
        pinned: Whether the pieces are page-locked, which needs a GPU.
        piece_bytes: Of a piece, a power of two.

    Returns:
        The pieces, uint8.
    """
    waiting = list(tensors)
    remaining = sum(map(_padded, waiting))
    pieces: list[torch.Tensor] = []
    used: list[int] = []
    for tensor in waiting:
        size = _padded(tensor)
        number = next((i for i, piece in enumerate(pieces) if used[i] + size <= len(piece)), None)
        if number is None:
            number = len(pieces)
            largest = 1 << remaining.bit_length() - 1 if remaining else 1
            whole = max(min(piece_bytes, largest), 1 << max(size - 1, 0).bit_length())
            pieces.append(torch.empty(whole, dtype=torch.uint8, pin_memory=pinned))
            used.append(0)
        start = used[number]
        place = pieces[number][start : start + tensor.nbytes].view(tensor.dtype)
        tensor.data = place.view(tensor.shape).copy_(tensor.data)
        used[number] += size
        remaining -= size
    return pieces


def _padded(tensor: torch.Tensor) -> int:
    return -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT


def networks(pipeline: DiffusionPipeline) -> Iterator[tuple[str, nn.Module]]:
    """The components of a pipeline that have weights, by name."""
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module):
            yield name, component
