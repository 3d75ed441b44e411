"""The block of the network and its layers: adaptive norm, gate, projection of speech features."""

import torch
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.attention import FeedForward
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import nn
from torch.nn import functional

from multitalk.engines.diffusion.attention import AudioAttention, TokenAttnProcessor
from multitalk.engines.diffusion.context_parallel import TokenShard
from multitalk.engines.diffusion.speaker_binding import SpeakerBinding

NORM_EPSILON = 1e-5


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
        """Norm * (1 + scale) + shift: [1, L, dim], float32 [1, 1, dim] each -> [1, L, dim]."""
        weight, bias = 1 + scale.flatten(), shift.flatten()
        normed = functional.layer_norm(states.float(), (self.dim,), weight, bias, self.eps)
        return normed.type_as(states)


def add_gated(states: torch.Tensor, change: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Compute states + change * gate: [1, L, dim] twice and float32 [1, 1, dim] -> [1, L, dim]."""
    return torch.addcmul(states, change, gate).type_as(states)


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


class MultiTalkTransformerBlock(nn.Module):
    """Self attention, attention to text and picture, attention to speech, feed-forward.

    Args:
        dim: Width of the model.
        ffn_dim: Width of the feed-forward network.
        heads: Number of heads.
        eps: Of every norm.
        audio_dim: Width of an audio token.
    """

    def __init__(self, dim: int, ffn_dim: int, heads: int, eps: float, audio_dim: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.norm1 = ModulatedNorm(dim, eps)
        self.attn1 = WanAttention(dim, heads, head_dim, eps, processor=TokenAttnProcessor())
        self.norm2 = FP32LayerNorm(dim, eps)
        self.attn2 = WanAttention(
            dim,
            heads,
            head_dim,
            eps,
            added_kv_proj_dim=dim,
            cross_attention_dim_head=head_dim,
            processor=TokenAttnProcessor(),
        )
        self.norm_audio = FP32LayerNorm(dim, eps)
        self.audio_attn = AudioAttention(dim, heads, audio_dim)
        self.norm3 = ModulatedNorm(dim, eps)
        self.ffn = FeedForward(dim, inner_dim=ffn_dim, activation_fn="gelu-approximate")
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: tuple[torch.Tensor, torch.Tensor],
        temb: torch.Tensor,
        rotary_emb: torch.Tensor,
        *,
        audio_hidden_states: torch.Tensor,
        shard: TokenShard,
        binding: SpeakerBinding | None = None,
    ) -> torch.Tensor:
        """Run the block.

        Args:
            hidden_states: Tokens [1, L, dim].
            encoder_hidden_states: Picture tokens and text tokens.
            temb: The timestep's part of the six modulation vectors, [1, 6, dim].
            rotary_emb: 3-D rotary factors, complex64 [1, L, 1, D / 2].
            audio_hidden_states: [T, voices * audio_tokens, audio_dim].
            shard: Of the talk's tokens.
            binding: Of two or more speakers.
        """
        states = hidden_states
        modulation = (self.scale_shift_table + temb.float()).chunk(6, dim=1)
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = modulation

        normed = self.norm1(states, shift, scale)
        attended = self.attn1(normed, rotary_emb=rotary_emb, binding=binding, shard=shard)
        states = add_gated(states, attended, gate)

        normed = self.norm2(states.float()).type_as(states)
        states = states + self.attn2(normed, encoder_hidden_states)

        normed = self.norm_audio(states.float()).type_as(states)
        states = states + self.audio_attn(normed, audio_hidden_states, shard, binding)

        normed = self.norm3(states, ffn_shift, ffn_scale)
        return add_gated(states, self.ffn(normed), ffn_gate)


# How the library's caches find a block's first output.
TransformerBlockRegistry.register(
    MultiTalkTransformerBlock,
    TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=None),
)
