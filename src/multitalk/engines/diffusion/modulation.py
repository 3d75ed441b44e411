"""How the timestep changes a block: it shifts and scales what a norm gives, and weighs branches.

Each is one operation over the tokens, in float32 whatever their dtype.
"""

import torch
from torch import nn
from torch.nn import functional


class ModulatedNorm(nn.Module):
    """A layer norm whose weight and bias come from the timestep; it has no parameters.

    W. Peebles, S. Xie, "Scalable Diffusion Models with Transformers", 2023, section 3.2 (adaLN).

    Args:
        dim: Width of a token.
        eps: Of the norm.
    """

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(
        self, states: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """Give norm * (1 + scale) + shift: [1, L, dim], float32 [1, 1, dim] each -> [1, L, dim]."""
        weight, bias = 1 + scale.flatten(), shift.flatten()
        normed = functional.layer_norm(states.float(), (self.dim,), weight, bias, self.eps)
        return normed.type_as(states)


def add_gated(states: torch.Tensor, change: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Give states + change * gate: [1, L, dim] twice and float32 [1, 1, dim] -> [1, L, dim]."""
    return torch.addcmul(states, change, gate).type_as(states)
