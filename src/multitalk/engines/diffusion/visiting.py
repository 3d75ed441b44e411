"""A network's values on the host, for networks that come to the GPU and leave it again."""

from itertools import chain

import torch
from torch import nn


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
