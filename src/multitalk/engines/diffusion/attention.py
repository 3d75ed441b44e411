"""The three attentions of a MultiTalk block: tokens to tokens, to text and picture, to speech.

Dims: B batch (one talk), L tokens held by this process, H heads, D channels of a head,
K audio tokens of one latent frame.
"""

from typing import Any

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import nn
from torch.nn import functional

from multitalk.engines.diffusion.context_parallel import TokenShard
from multitalk.engines.diffusion.speaker_binding import SpeakerBinding

LABEL_BASE = 10_000.0


def rotate_pairs(states: torch.Tensor, rotary: torch.Tensor) -> torch.Tensor:
    """Rotate consecutive channel pairs, as complex numbers in float32.

    Args:
        states: [..., D].
        rotary: Complex numbers of modulus 1, complex64 [..., D / 2].
    """
    rotated = torch.view_as_complex(states.float().unflatten(-1, (-1, 2))) * rotary
    return torch.view_as_real(rotated).flatten(-2).type_as(states)


def label_rotary(positions: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Rotary factors of positions on the label axis: [N] -> complex64 [N, 1, D / 2]."""
    channels = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    angles = torch.outer(positions.float(), LABEL_BASE ** (-channels / head_dim))[:, None]
    return torch.polar(torch.ones_like(angles), angles)


class TokenAttnProcessor:
    """Self attention with 3-D rotary, or cross attention to a (picture, text) pair.

    diffusers' own processor splits picture from text by a fixed 512 text tokens; here they are
    separate tensors.
    """

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: tuple[torch.Tensor, torch.Tensor] | None = None,
        attention_mask: None = None,  # noqa: ARG002 - the layer passes it
        rotary_emb: torch.Tensor | None = None,
        *,
        binding: SpeakerBinding | None = None,
        shard: TokenShard | None = None,
    ) -> torch.Tensor:
        """Attend.

        Args:
            attn: The layer.
            hidden_states: [B, L, dim].
            encoder_hidden_states: Picture tokens and text tokens, or None for self attention.
            attention_mask: Always None: padding of the text is attended to, as trained.
            rotary_emb: 3-D rotary factors, complex64 [1, L, 1, D / 2], for self attention only.
            binding: Takes the tokens' speaker labels, where two or more speak.
            shard: Of the talk's tokens, for the binding.
        """
        if encoder_hidden_states is None:
            attended = self._attend_to_tokens(attn, hidden_states, rotary_emb, binding, shard)
        else:
            attended = self._attend_to_context(attn, hidden_states, *encoder_hidden_states)
        return attn.to_out[1](attn.to_out[0](attended.flatten(2).type_as(hidden_states)))

    def _attend_to_tokens(
        self,
        attn: WanAttention,
        states: torch.Tensor,
        rotary: torch.Tensor,
        binding: SpeakerBinding | None,
        shard: TokenShard | None,
    ) -> torch.Tensor:
        """Self attention, [B, L, H, D]. Rotation takes the most memory: values come after it."""
        query = rotate_pairs(self._heads(attn, attn.norm_q(attn.to_q(states))), rotary)
        key = rotate_pairs(self._heads(attn, attn.norm_k(attn.to_k(states))), rotary)
        value = self._heads(attn, attn.to_v(states))
        attended = self._attend(query, key, value, self._parallel_config)
        if binding is not None and shard is not None:
            binding.bind(query, key, shard)
        return attended

    def _attend_to_context(
        self, attn: WanAttention, states: torch.Tensor, picture: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """The sum of attention to the text and to the picture, [B, L, H, D]."""
        query = self._heads(attn, attn.norm_q(attn.to_q(states)))
        key = self._heads(attn, attn.norm_k(attn.to_k(text)))
        attended = self._attend(query, key, self._heads(attn, attn.to_v(text)))
        key = self._heads(attn, attn.norm_added_k(attn.add_k_proj(picture)))
        value = self._heads(attn, attn.add_v_proj(picture))
        return attended + self._attend(query, key, value)

    @staticmethod
    def _heads(attn: WanAttention, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(2, (attn.heads, -1))

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        parallel_config: Any = None,
    ) -> torch.Tensor:
        return dispatch_attention_fn(
            query, key, value, backend=self._attention_backend, parallel_config=parallel_config
        )


class AudioAttnProcessor:
    """Tokens of a latent frame attend to the audio tokens of that frame, and to no other."""

    _attention_backend = None

    def __call__(
        self,
        attn: "AudioAttention",
        hidden_states: torch.Tensor,
        audio_hidden_states: torch.Tensor,
        shard: TokenShard,
        binding: SpeakerBinding | None = None,
    ) -> torch.Tensor:
        """Attend.

        Args:
            attn: The layer.
            hidden_states: [1, L, dim].
            audio_hidden_states: [T, K, audio_dim], all frames of the talk.
            shard: Of the talk's tokens.
            binding: Gives the tokens' speaker labels, where two or more speak.
        """
        frame_tokens = shard.num_tokens // audio_hidden_states.shape[0]
        first = shard.offset // frame_tokens
        end = -(-(shard.offset + shard.length) // frame_tokens)

        query = attn.to_q(hidden_states).unflatten(2, (attn.heads, -1))
        keys_values = attn.to_kv(audio_hidden_states[first:end])
        key, value = keys_values.unflatten(-1, (2, attn.heads, -1)).unbind(2)  # [frames, K, H, D]
        if binding is not None:
            head_dim = query.shape[-1]
            query = rotate_pairs(query, label_rotary(binding.take_query_positions(), head_dim))
            key = rotate_pairs(key, label_rotary(binding.key_positions, head_dim))

        # A shard may begin or end within a frame: it is filled up to whole frames.
        before = shard.offset - first * frame_tokens
        after = end * frame_tokens - shard.offset - shard.length
        if before or after:
            query = functional.pad(query, (0, 0, 0, 0, before, after))
        query = query[0].unflatten(0, (end - first, frame_tokens))  # [frames, tokens, H, D]
        attended = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        attended = attended.flatten(0, 1)[before : before + shard.length].flatten(1)[None]
        return attn.to_out[1](attn.to_out[0](attended.type_as(hidden_states)))


class AudioAttention(nn.Module, AttentionModuleMixin):
    """Attention from the tokens of a latent frame to its speech.

    Args:
        dim: Width of the model.
        heads: Number of heads.
        audio_dim: Width of an audio token.
    """

    _default_processor_cls = AudioAttnProcessor
    _available_processors = (AudioAttnProcessor,)
    _supports_qkv_fusion = False

    def __init__(self, dim: int, heads: int, audio_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(audio_dim, 2 * dim)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim), nn.Dropout(0.0)])
        self.set_processor(AudioAttnProcessor())

    def forward(
        self,
        hidden_states: torch.Tensor,
        audio_hidden_states: torch.Tensor,
        shard: TokenShard,
        binding: SpeakerBinding | None = None,
    ) -> torch.Tensor:
        """[1, L, dim] and [T, K, audio_dim] -> [1, L, dim]."""
        return self.processor(self, hidden_states, audio_hidden_states, shard, binding)
