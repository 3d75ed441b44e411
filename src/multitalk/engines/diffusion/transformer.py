"""The MultiTalk network: Wan2.1's video transformer with an attention to speech in every block.

Built from diffusers' Wan parts, so that the library's facilities work on it: attention backends,
offloading, layerwise casting, regional compilation, adapters, caches, context parallelism.

Dims: T latent frames, h w latent height and width, L = T * h/2 * w/2 tokens, F video frames,
S speakers. One talk at a time: the batch is 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_wan import (
    WanRotaryPosEmbed,
    WanTimeTextImageEmbedding,
)
from torch import nn
from torch.nn import functional

from multitalk.engines.diffusion.context_parallel import TokenShard, local_shard
from multitalk.engines.diffusion.layers import (
    AudioProjection,
    ModulatedNorm,
    MultiTalkTransformerBlock,
)
from multitalk.engines.diffusion.quantized import WeightStorage, store_weights_as
from multitalk.engines.diffusion.speaker_binding import SpeakerBinding

TIME_BASE = 10_000.0

BlocksRunner = Callable[
    [torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor
]


@dataclass
class CachedConditions:
    """Conditions of a branch that do not depend on the timestep.

    Give a new one to the first step of a window and branch, which fills it, and the same one to
    that branch's further steps.

    Attributes:
        context: Picture tokens [1, 257, dim] and text tokens [1, text_len, dim].
        audio: Audio tokens [T, voices * audio_tokens, audio_dim].
        masks: Bool [S + 1, tokens of a frame], where two or more speak.
    """

    context: tuple[torch.Tensor, torch.Tensor] | None = None
    audio: torch.Tensor | None = None
    masks: torch.Tensor | None = None


class MultiTalkTransformer3DModel(
    ModelMixin, ConfigMixin, PeftAdapterMixin, CacheMixin, AttentionMixin
):
    """The noise predictor of MultiTalk and InfiniteTalk; they share every parameter and key.

    Args:
        patch_size: Latent frames, rows and columns in a token.
        num_attention_heads: Number of heads.
        attention_head_dim: Channels of a head.
        in_channels: Noisy latent, mask and condition channels.
        out_channels: Latent channels.
        text_dim: Width of the text encoder's states.
        text_len: Text is padded with zeros to so many tokens.
        freq_dim: Width of the timestep's sinusoid.
        ffn_dim: Width of the feed-forward networks.
        num_layers: Number of blocks.
        eps: Of every norm in the blocks.
        image_dim: Width of the picture encoder's states.
        rope_max_seq_len: Longest side of the token grid.
        audio_window: Time steps of speech features around a video frame.
        audio_feature_dim: Values of one such time step: speech layers x channels.
        audio_hidden_dim: Width of the audio projection.
        audio_dim: Width of an audio token.
        audio_tokens: Audio tokens per voice and latent frame.
        frames_per_latent: Video frames in a latent frame other than the first.
        weight_storage: Keep the weights of Linear layers as int8 or float8 with a scale per row.
        full_precision_modules: Names of Linear layers which are not stored so.
    """

    _supports_gradient_checkpointing = False
    _supports_group_offloading = True
    _skip_layerwise_casting_patterns: ClassVar = [
        "patch_embedding",
        "condition_embedder",
        "norm",
        "audio_proj",
    ]
    _no_split_modules: ClassVar = ["MultiTalkTransformerBlock"]
    _repeated_blocks: ClassVar = ["MultiTalkTransformerBlock"]
    _keep_in_fp32_modules: ClassVar = [
        "time_embedder",
        "scale_shift_table",
        "norm2",
        "norm_audio",
        "weight_scale",
    ]
    _cp_plan: ClassVar[dict[str, Any]] = {}  # `forward` shares the tokens out, evenly or not

    @register_to_config
    def __init__(
        self,
        *,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 36,
        out_channels: int = 16,
        text_dim: int = 4096,
        text_len: int = 512,  # noqa: ARG002 - read from the config
        freq_dim: int = 256,
        ffn_dim: int = 13_824,
        num_layers: int = 40,
        eps: float = 1e-6,
        image_dim: int = 1280,
        rope_max_seq_len: int = 1024,
        audio_window: int = 5,
        audio_feature_dim: int = 12 * 768,
        audio_hidden_dim: int = 512,
        audio_dim: int = 768,
        audio_tokens: int = 32,
        frames_per_latent: int = 4,
        weight_storage: WeightStorage | None = None,
        full_precision_modules: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        dim = num_attention_heads * attention_head_dim
        self.rope = WanRotaryPosEmbed(attention_head_dim, patch_size, rope_max_seq_len)
        self.patch_embedding = nn.Conv3d(in_channels, dim, patch_size, stride=patch_size)
        self.condition_embedder = WanTimeTextImageEmbedding(
            dim, freq_dim, dim * 6, text_dim, image_dim
        )
        self.audio_proj = AudioProjection(
            window=audio_window,
            feature_dim=audio_feature_dim,
            hidden_dim=audio_hidden_dim,
            output_dim=audio_dim,
            num_tokens=audio_tokens,
            frames_per_latent=frames_per_latent,
        )
        self.blocks = nn.ModuleList(
            MultiTalkTransformerBlock(dim, ffn_dim, num_attention_heads, eps, audio_dim)
            for _ in range(num_layers)
        )
        self.norm_out = ModulatedNorm(dim, eps)
        self.proj_out = nn.Linear(dim, out_channels * math.prod(patch_size))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        if weight_storage is not None:
            store_weights_as(weight_storage, self, full_precision=full_precision_modules)

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        *,
        encoder_hidden_states: torch.Tensor,
        encoder_hidden_states_image: torch.Tensor,
        audio_hidden_states: torch.Tensor,
        speaker_masks: torch.Tensor | None = None,
        conditioning: CachedConditions | None = None,
        blocks_runner: BlocksRunner | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[torch.Tensor]:
        """Predict the velocity at one timestep, for one branch of the guidance.

        Args:
            hidden_states: Noisy latent, mask and condition channels, [1, in_channels, T, h, w].
            timestep: float32 or float64 [1], on the 0..1000 scale.
            encoder_hidden_states: Text states without padding, [1, tokens, text_dim].
            encoder_hidden_states_image: Picture states [1, 257, image_dim].
            audio_hidden_states: Windows of speech features of every video frame,
                [voices, F, window, layers, channels] with F = frames_per_latent * (T - 1) + 1.
            speaker_masks: [voices + 1, h, w], background last; read with two voices or more.
            conditioning: Filled by the first call, read by those after it.
            blocks_runner: Called with the timestep's modulation [1, 6, dim], the tokens
                [1, L, dim] and the function that sends tokens through all blocks; returns the
                tokens after them. A step cache is one.
            return_dict: Whether to name the result.

        Returns:
            [1, out_channels, T, h, w].
        """
        _check_inputs(hidden_states, timestep)
        sides = zip(hidden_states.shape[2:], self.config.patch_size, strict=True)
        grid = [size // patch for size, patch in sides]  # T, rows, columns
        shard = local_shard(math.prod(grid), self._parallel_config)
        conditions = CachedConditions() if conditioning is None else conditioning
        if conditions.context is None:
            conditions.context = self._embed_context(
                encoder_hidden_states, encoder_hidden_states_image
            )
            conditions.audio = self.audio_proj(audio_hidden_states)
            conditions.masks = _token_masks(speaker_masks, audio_hidden_states.shape[0], grid)
        time_states, modulation = self.embed_time(timestep, hidden_states.dtype)
        rotary = self._rotary(hidden_states, shard)
        run_blocks = self._bound_blocks(conditions, modulation, rotary, shard)
        if blocks_runner is None:  # no name holds the patches: the first block's result frees them
            tokens = run_blocks(self._embed_patches(hidden_states, shard))
        else:
            patches = self._embed_patches(hidden_states, shard)
            tokens = blocks_runner(modulation, patches, run_blocks)
        sample = self._unembed(tokens, time_states, shard, grid)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _bound_blocks(
        self,
        conditions: CachedConditions,
        modulation: torch.Tensor,
        rotary: torch.Tensor,
        shard: TokenShard,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """The function that sends the shard's tokens [1, length, dim] through all blocks."""
        binding = None
        if conditions.masks is not None:
            binding = SpeakerBinding(conditions.masks, self.config.audio_tokens)

        def run_blocks(states: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                states = block(
                    states,
                    conditions.context,
                    modulation,
                    rotary,
                    audio_hidden_states=conditions.audio,
                    shard=shard,
                    binding=binding,
                )
            return states

        return run_blocks

    def _embed_patches(self, hidden_states: torch.Tensor, shard: TokenShard) -> torch.Tensor:
        """The shard's tokens of [1, in_channels, T, h, w]: [1, length, dim]."""
        patches = self.patch_embedding(hidden_states).flatten(2).transpose(1, 2)
        return shard.local(patches).contiguous()

    def _rotary(self, hidden_states: torch.Tensor, shard: TokenShard) -> torch.Tensor:
        """3-D rotary factors of the shard's tokens, complex64 [1, length, 1, D / 2]."""
        cosine, sine = self.rope(hidden_states)
        return shard.local(torch.complex(cosine[..., 0::2], sine[..., 1::2]))

    def _unembed(
        self,
        tokens: torch.Tensor,
        time_states: torch.Tensor,
        shard: TokenShard,
        grid: list[int],
    ) -> torch.Tensor:
        """Tokens after the blocks as a velocity, [1, length, dim] -> [1, out_channels, T, h, w]."""
        shift, scale = (self.scale_shift_table + time_states.unsqueeze(1).float()).chunk(2, dim=1)
        patches = shard.all_tokens(self.proj_out(self.norm_out(tokens, shift, scale)))
        return _unpatch(patches, grid, self.config.patch_size)

    def embed_time(
        self, timestep: torch.Tensor, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Timestep [1] -> its embedding [1, dim] and the blocks' modulation [1, 6, dim].

        The sinusoid is made in float64: in float32 it is off by 4e-5 at timestep 1000.
        """
        embedder = self.condition_embedder
        half = self.config.freq_dim // 2
        exponents = -torch.arange(half, dtype=torch.float64, device=timestep.device) / half
        angles = torch.outer(timestep.double(), TIME_BASE**exponents)
        sinusoid = torch.cat([angles.cos(), angles.sin()], dim=1)
        # The bias tells the layer's dtype even where weights are stored as integers.
        sinusoid = sinusoid.to(embedder.time_embedder.linear_1.bias.dtype)
        states = embedder.time_embedder(sinusoid).to(dtype)
        return states, embedder.time_proj(embedder.act_fn(states)).unflatten(1, (6, -1))

    def _embed_context(
        self, text: torch.Tensor, picture: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        padding = self.config.text_len - text.shape[1]
        if padding < 0:
            raise ValueError(f"{text.shape[1]} text tokens; at most {self.config.text_len}")
        padded = functional.pad(text, (0, 0, 0, padding))
        embedder = self.condition_embedder
        return embedder.image_embedder(picture), embedder.text_embedder(padded)


def _check_inputs(hidden_states: torch.Tensor, timestep: torch.Tensor) -> None:
    if timestep.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"timestep is {timestep.dtype}: it would be rounded; use float32")
    if hidden_states.shape[0] != 1:
        raise ValueError(f"a batch of {hidden_states.shape[0]}: one talk at a time")


def _token_masks(
    masks: torch.Tensor | None, num_voices: int, grid: list[int]
) -> torch.Tensor | None:
    """Speaker masks on the token grid: [S + 1, h, w] -> bool [S + 1, tokens of a frame].

    None for one voice, whatever the masks.
    """
    if num_voices == 1:
        return None
    if masks is None or masks.shape[0] != num_voices + 1:
        found = "none" if masks is None else str(masks.shape[0])
        raise ValueError(f"{num_voices} voices need {num_voices + 1} masks; found {found}")
    resized: Any = functional.interpolate(masks[None].float(), size=grid[1:], mode="nearest")[0]
    return (resized > 0).flatten(1)


def _unpatch(
    patches: torch.Tensor, grid: list[int], patch_size: tuple[int, int, int]
) -> torch.Tensor:
    """[1, L, patch x channels], channel fastest -> [1, channels, T, h, w]."""
    split = patches.reshape(1, *grid, *patch_size, -1)  # [1, T, y, x, pt, py, px, channels]
    ordered = split.permute(0, 7, 1, 4, 2, 5, 3, 6)  # [1, channels, T, pt, y, py, x, px]
    return ordered.flatten(6, 7).flatten(4, 5).flatten(2, 3)
