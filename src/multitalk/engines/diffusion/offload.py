"""Offloading: networks whose values are on the host and are copied to the GPU while they work."""

from collections.abc import Iterable
from itertools import chain

import torch
from torch import nn


def has_gpu() -> bool:
    """Whether PyTorch finds a GPU."""
    return bool(torch.cuda.is_available())


class Home:
    """Where a network's values lie while they are not on the GPU.

    They stay there when the network goes to a device: what comes back is not copied, and values
    that are mapped from a file take no memory of the host.
    """

    def __init__(self, network: nn.Module) -> None:
        """Remember where the values of a network are now."""
        tensors = chain(network.parameters(), network.buffers())
        self._values = [(tensor, tensor.data) for tensor in tensors]

    def send(self, device: torch.device) -> None:
        """Copy the values to a device and let the network work on them.

        Raises:
            OutOfMemoryError: PyTorch's; some of the values are there: `call_back`.
        """
        for tensor, values in self._values:
            tensor.data = values.to(device)

    def call_back(self) -> None:
        """Let the network have its values at home again; those on the device are let go."""
        for tensor, values in self._values:
            tensor.data = values


PIECE_BYTES = 2**30  # a power of two, so that nothing is lost to rounding
ALIGNMENT = 512  # bytes, as PyTorch's allocators align


def pack(
    tensors: Iterable[torch.Tensor], *, pinned: bool, piece_bytes: int = PIECE_BYTES
) -> list[torch.Tensor]:
    """Copy tensors into large pieces of main memory, one at a time; each lies there afterwards.

    A GPU copies from page-locked memory while it computes. PyTorch rounds every piece of it up to a
    power of two, which for one piece a tensor, as the library pins them, is half as much again for
    Wan's blocks.

    Args:
        tensors: Wherever they lie; what they held there is let go as each is copied.
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
