"""Layers of the network: adaptive norm, gate, and the projection of speech to audio tokens."""

import torch
from diffusers.models.normalization import FP32LayerNorm
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


NORM_EPSILON = 1e-5


class AudioProjection(nn.Module):
    """A small network from windows of speech features to `num_tokens` tokens per latent frame.

    Latent frame 0 is one video frame and gets that frame's window. Every later latent frame is
    `frames_per_latent` video frames; it gets the first one's past, the centres of those between,
    and the last one's future: window + frames_per_latent - 1 time steps without gap or overlap.

    Args:
        window: Time steps around one video frame, odd.
        feature_dim: Values per time step: speech layers x channels.
        hidden_dim: Width of the network.
        output_dim: Width of a token.
        num_tokens: Tokens per voice and latent frame.
        frames_per_latent: Video frames in a latent frame other than the first.
    """

    def __init__(
        self,
        *,
        window: int,
        feature_dim: int,
        hidden_dim: int,
        output_dim: int,
        num_tokens: int,
        frames_per_latent: int,
    ) -> None:
        super().__init__()
        self.window = window
        self.num_tokens = num_tokens
        self.frames_per_latent = frames_per_latent
        later_window = window + frames_per_latent - 1
        self.proj1 = nn.Linear(window * feature_dim, hidden_dim)
        self.proj1_vf = nn.Linear(later_window * feature_dim, hidden_dim)
        self.proj2 = nn.Linear(hidden_dim, hidden_dim)
        self.proj3 = nn.Linear(hidden_dim, num_tokens * output_dim)
        self.norm = FP32LayerNorm(output_dim, NORM_EPSILON)

    def forward(self, audio_hidden_states: torch.Tensor) -> torch.Tensor:
        """Project.

        Args:
            audio_hidden_states: [voices, F, window, layers, channels], F = frames_per_latent
                * (T - 1) + 1 video frames.

        Returns:
            [T, voices * num_tokens, output_dim], voice after voice.
        """
        past = self.window // 2 + 1  # the centre included
        centre = self.window // 2
        first, later = audio_hidden_states[:, :1], audio_hidden_states[:, 1:]
        later = later.unflatten(1, (-1, self.frames_per_latent))  # [voices, T - 1, frames, ...]
        features = [later[:, :, 0, :past], later[:, :, 1:-1, centre], later[:, :, -1, centre:]]
        hidden = torch.cat(
            [
                self.proj1(first.flatten(2)).relu(),
                self.proj1_vf(torch.cat(features, dim=2).flatten(2)).relu(),
            ],
            dim=1,
        )  # [voices, T, hidden_dim]
        tokens = self.proj3(self.proj2(hidden).relu()).unflatten(-1, (self.num_tokens, -1))
        return self.norm(tokens).transpose(0, 1).flatten(1, 2)
