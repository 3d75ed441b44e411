"""Linear layers whose weights stay int8 or float8 in memory, with one scale per output row.

The numbers are those of optimum-quanto's weight-only files: W[i, j] = data[i, j] * scale[i].
"""

from collections.abc import Collection
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

WeightStorage = Literal["int8", "float8_e4m3fn"]

# float8 is held as its bits: whatever casts floating-point parameters, as `.to(bfloat16)` and
# offloading do, must not touch numbers that mean nothing without their scale.
_HELD_AS: dict[WeightStorage, torch.dtype] = {"int8": torch.int8, "float8_e4m3fn": torch.uint8}


class QuantizedLinear(nn.Linear):
    """A Linear whose weight is stored in 8 bits and multiplied by its scales after the product.

    It is an `nn.Linear` to whoever asks, so that adapters, offloading and compilation work.

    Attributes:
        weight: int8, or the bits of float8 as uint8, [out, in].
        weight_scale: float32 [out, 1].
    """

    def __init__(
        self, in_features: int, out_features: int, *, storage: WeightStorage, bias: bool = True
    ) -> None:
        nn.Module.__init__(self)  # not Linear's, which makes a float weight
        self.in_features = in_features
        self.out_features = out_features
        self.storage = storage
        stored = torch.zeros(out_features, in_features, dtype=_HELD_AS[storage])
        self.weight = nn.Parameter(stored, requires_grad=False)
        self.weight_scale = nn.Parameter(torch.ones(out_features, 1), requires_grad=False)
        zeros = torch.zeros(out_features)
        self.bias = nn.Parameter(zeros, requires_grad=False) if bias else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out], in the dtype of `states`, which holds every stored value."""
        stored = self.weight
        if self.storage == "float8_e4m3fn":
            stored = stored.view(torch.float8_e4m3fn)
        product = functional.linear(states, stored.to(states.dtype))
        product = product * self.weight_scale[:, 0].to(states.dtype)
        return product if self.bias is None else product + self.bias.to(states.dtype)


def store_weights_as(
    storage: WeightStorage, model: nn.Module, *, full_precision: Collection[str] = ()
) -> None:
    """Replace the Linear layers of a model, whose values are to be loaded afterwards.

    Args:
        storage: How the weights are held.
        model: Changed in place.
        full_precision: Names of layers that stay as they are.
    """
    replaced = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name not in full_precision
    }
    for name, module in replaced.items():
        quantized = QuantizedLinear(
            module.in_features,
            module.out_features,
            storage=storage,
            bias=module.bias is not None,
        )
        model.set_submodule(name, quantized)


def as_stored(values: torch.Tensor) -> torch.Tensor:
    """The values of a file as `QuantizedLinear.weight` holds them."""
    return values.view(torch.uint8) if values.dtype == torch.float8_e4m3fn else values
