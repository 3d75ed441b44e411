"""Linear layers whose weights stay int8 or float8 in memory, with one scale per output row.

The numbers are those of optimum-quanto's weight-only files: W[i, j] = data[i, j] * scale[i], as
`.weight._data` and `.weight._scale`.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from multitalk.weights.component_files import CheckpointMismatch

WeightStorage = Literal["int8", "float8_e4m3fn"]

FLOAT8 = torch.float8_e4m3fn
LARGEST_FP8 = torch.finfo(FLOAT8).max  # 448
SMALLEST_ROW = 1e-12  # a row of zeros has a scale, too
FP8_MULTIPLE = 16  # of both sides of a weight, as the kernels ask

_STORAGE: dict[torch.dtype, WeightStorage] = {
    torch.int8: "int8",
    FLOAT8: "float8_e4m3fn",
}


class QuantizedLinear(nn.Linear):
    """A Linear whose weight is stored in 8 bits, and dequantised whenever it is used.

    The weight times its scale is rounded to the dtype of the states once, so that the product, its
    bias included, is the one operation that it is with 16-bit weights.

    It is an `nn.Linear`, so that adapters, offloading and compilation work. float8
    is held as its bits: whatever casts floating-point parameters, as `.to(bfloat16)` and offloading
    do, must not touch numbers that mean nothing without their scale. Those bits are int8 and not
    uint8, because the library's UMT5 takes the dtype of any other weight for that of its states.

    Attributes:
        weight: int8, or the bits of float8 as int8, [out, in].
        weight_scale: float32 [out, 1].
        multiplies_in_fp8: The states are rounded to float8, too; see `multiply_in_fp8`.
    """

    multiplies_in_fp8 = False

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        storage: WeightStorage,
        bias: bool = True,
        device: str | torch.device | None = None,
    ) -> None:
        nn.Module.__init__(self)  # not Linear's, which makes a float weight
        self.in_features = in_features
        self.out_features = out_features
        self.storage = storage
        stored = torch.zeros(out_features, in_features, dtype=torch.int8, device=device)
        self.weight = nn.Parameter(stored, requires_grad=False)
        scale = torch.ones(out_features, 1, device=device)
        self.weight_scale = nn.Parameter(scale, requires_grad=False)
        zeros = torch.zeros(out_features, device=device)
        self.bias = nn.Parameter(zeros, requires_grad=False) if bias else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out], in the dtype of `states`, which holds every stored value."""
        bias = None if self.bias is None else self.bias.to(states.dtype)
        if self.multiplies_in_fp8:
            return self._fp8_product(states, bias)
        if self.storage == "float8_e4m3fn":  # promoted to no other dtype
            weight = self.weight.view(FLOAT8).to(states.dtype).mul_(self.weight_scale)
        else:  # computed in float32, written in the states' dtype: one pass over the weight
            weight = torch.empty(self.weight.shape, dtype=states.dtype, device=states.device)
            torch.mul(self.weight, self.weight_scale, out=weight)
        return functional.linear(states, weight, bias)

    def _fp8_product(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Each row of the states scaled to what float8 holds, as each row of the weight is."""
        rows = states.flatten(0, -2)
        largest = torch.linalg.vector_norm(rows, ord=math.inf, dim=1, keepdim=True)
        scale = largest.clamp(min=SMALLEST_ROW) / LARGEST_FP8
        product = torch._scaled_mm(
            (rows / scale).to(FLOAT8),
            self.weight.view(FLOAT8).t(),
            scale_a=scale.float(),
            scale_b=self.weight_scale.t(),
            bias=bias,
            out_dtype=states.dtype,
        )
        return product.unflatten(0, states.shape[:-1])


def multiply_in_fp8(model: nn.Module) -> int:
    """Let a model's layers that hold float8 multiply in float8, where the GPU can.

    That takes half the time of a product in 16 bits, and rounds the states to 4 significant bits,
    with a scale for each row. It needs states in bfloat16 and a GPU of capability 8.9 or more.

    Returns:
        How many layers do: those that hold float8 and whose sides are multiples of 16.
    """
    layers = [
        module
        for module in model.modules()
        if isinstance(module, QuantizedLinear)
        and module.storage == "float8_e4m3fn"
        and not (module.in_features % FP8_MULTIPLE or module.out_features % FP8_MULTIPLE)
    ]
    for layer in layers:
        layer.multiplies_in_fp8 = True
    return len(layers)


def store_weights_as(
    storage: WeightStorage, model: nn.Module, *, full_precision: Collection[str] = ()
) -> None:
    """Replace the Linear layers of a model, whose values are to be loaded afterwards.

    The new layers are on the devices of the old ones. Those of a network without values are on the
    meta device: else 19 GB of zeros would be written first, memory that is not always returned.

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
            device=module.weight.device,
        )
        model.set_submodule(name, quantized)


def as_held(values: torch.Tensor) -> torch.Tensor:
    """The values of a file as `QuantizedLinear.weight` holds them."""
    return values.view(torch.int8) if values.dtype == FLOAT8 else values


def parameter_of(key: str) -> str | None:
    """A key of quanto's -> the name of the parameter, None for what weight-only files leave unused.

    Keys that are not quanto's come back as they are.
    """
    if key.endswith((".input_scale", ".output_scale")):
        return None
    if key.endswith(".weight._scale"):
        return key.removesuffix("._scale") + "_scale"
    return key.removesuffix("._data")


def storage_options(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Options of a network for the storage of a file's weights.

    Args:
        tensors: By the name of our parameter.

    Returns:
        `weight_storage`, and as `full_precision_modules` which layers are not stored so; nothing
        for a file without weights in 8 bits.

    Raises:
        CheckpointMismatch: Weights of several kinds.
    """
    kinds = {values.dtype for values in tensors.values()} & _STORAGE.keys()
    if not kinds:
        return {}
    if len(kinds) > 1:
        several = sorted(map(str, kinds))
        raise CheckpointMismatch([f"weights of several kinds, {several}: one is possible"])
    full_precision = tuple(
        name.removesuffix(".weight")
        for name, values in tensors.items()
        if name.endswith(".weight") and values.dim() == 2 and values.dtype not in _STORAGE
    )
    return {"weight_storage": _STORAGE[kinds.pop()], "full_precision_modules": full_precision}
