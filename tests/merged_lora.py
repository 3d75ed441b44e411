"""LoRAs merged into weights: what LoRAs beside the weights must be equal to."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from multitalk.engines.diffusion.lora import AttachedLoras, Lora, add_scaled, base_layer


def merge_lora(model: nn.Module, lora: Lora, *, scale: float) -> None:
    """Change the model's weights, which are not in 8 bits, for good."""
    with torch.no_grad():
        for name, change in lora.items():
            module = base_layer(model.get_submodule(name))
            if change.down is not None and change.scaled_up is not None:
                product = change.scaled_up.float() @ change.down.float()
                add_scaled(module.weight, product, scale)
            for parameter, difference in change.differences.items():
                add_scaled(getattr(module, parameter), difference, scale)


@contextmanager
def attached_loras(model: nn.Module, loras: Iterable[tuple[Lora, float]]) -> Iterator[None]:
    """Attach LoRAs, each with its scale, for a while."""
    attached = AttachedLoras(model)
    for lora, scale in loras:
        attached.add(lora, scale=scale)
    yield
    attached.enable(())
    if getattr(model, "peft_config", None):
        model.unload_lora()
