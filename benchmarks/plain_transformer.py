"""The same network, written down as its mathematics reads, to measure what our savings save.

The weights are a transformer's own, and so is the result. It is no slower than it has to be: plain
PyTorch operations, one after the other, and the same fused attention and matrix products. What it
spends and the engine does not is the overhead of the published implementation:

* every forward projects text, picture and speech again;
* the speaker map is made in every block from scores that are written out, for one speaker too,
  where nobody reads it (the published pipeline passes three masks that cover everything);
* rotary factors are applied in float64, and padding of the text is attended to token by token.
"""

import torch
from torch.nn import functional

from multitalk.engines.diffusion.attention import AudioAttention
from multitalk.engines.diffusion.layers import MultiTalkTransformerBlock
from multitalk.engines.diffusion.speaker_binding import label_positions, speaker_labels
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

Tensor = torch.Tensor


class PlainTransformer:
    """A transformer's forward without savings, on one device.

    Args:
        model: Whose weights are used.
        class_by_class: Mask and add the speaker map's scores once for each class, as published;
            else one matrix product does it for all.
    """

    def __init__(self, model: MultiTalkTransformer3DModel, *, class_by_class: bool) -> None:
        self.model = model
        self.class_by_class = class_by_class

    @torch.no_grad()
    def __call__(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        *,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor,
        audio_hidden_states: Tensor,
        speaker_masks: Tensor,
    ) -> Tensor:
        """As the model's forward."""
        model, config = self.model, self.model.config
        frames, rows, columns = (
            size // patch
            for size, patch in zip(hidden_states.shape[2:], config.patch_size, strict=True)
        )
        tokens = model.patch_embedding(hidden_states).flatten(2).transpose(1, 2)
        states, modulation = model.embed_time(timestep, tokens.dtype)
        embedder = model.condition_embedder
        padding = config.text_len - encoder_hidden_states.shape[1]
        text = embedder.text_embedder(functional.pad(encoder_hidden_states, (0, 0, 0, padding)))
        picture = embedder.image_embedder(encoder_hidden_states_image)
        speech = model.audio_proj(audio_hidden_states)  # [T, voices * audio tokens, audio_dim]
        cosine, sine = model.rope(hidden_states)
        turns = torch.complex(cosine[..., 0::2].double(), sine[..., 1::2].double())

        speakers = len(audio_hidden_states)
        if speakers > 1:
            small = functional.interpolate(speaker_masks[None].float(), (rows, columns))
            masks = (small[0] > 0).flatten(1)
        else:
            masks = torch.ones(3, rows * columns, dtype=torch.bool, device=tokens.device)
        for block in model.blocks:
            tokens = self._block(
                block,
                tokens,
                modulation=modulation,
                turns=turns,
                context=(picture, text),
                speech=speech,
                masks=masks,
                speakers=speakers,
            )

        shift, scale = (model.scale_shift_table + states[:, None]).chunk(2, dim=1)
        normed = (norm(tokens, model.norm_out.eps) * (1 + scale) + shift).to(tokens.dtype)
        patches = model.proj_out(normed).reshape(frames, rows, columns, 1, 2, 2, -1)
        return patches.permute(6, 0, 3, 1, 4, 2, 5).reshape(1, -1, *hidden_states.shape[2:])

    def _block(
        self,
        block: MultiTalkTransformerBlock,
        tokens: Tensor,
        *,
        modulation: Tensor,
        turns: Tensor,
        context: tuple[Tensor, Tensor],
        speech: Tensor,
        masks: Tensor,
        speakers: int,
    ) -> Tensor:
        dtype = tokens.dtype
        six = (block.scale_shift_table + modulation.float()).chunk(6, dim=1)
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = six

        normed = (norm(tokens, block.norm1.eps) * (1 + scale) + shift).to(dtype)
        layer = block.attn1
        query = heads_of(layer.norm_q(layer.to_q(normed)), layer.heads)
        key = heads_of(layer.norm_k(layer.to_k(normed)), layer.heads)
        value = heads_of(layer.to_v(normed), layer.heads)
        query, key = rotate(query, turns), rotate(key, turns)
        attended = layer.to_out[0](attention(query, key, value).flatten(2))
        first = key[:, : masks.shape[1]]
        scores = speaker_map_of_scores(query, first, masks, class_by_class=self.class_by_class)
        tokens = (tokens.float() + attended * gate).to(dtype)

        layer = block.attn2
        query = heads_of(layer.norm_q(layer.to_q(block.norm2(tokens))), layer.heads)
        picture, text = context
        key = heads_of(layer.norm_k(layer.to_k(text)), layer.heads)
        attended = attention(query, key, heads_of(layer.to_v(text), layer.heads))
        key = heads_of(layer.norm_added_k(layer.add_k_proj(picture)), layer.heads)
        attended = attended + attention(
            query, key, heads_of(layer.add_v_proj(picture), layer.heads)
        )
        tokens = tokens + layer.to_out[0](attended.flatten(2))

        positions = None
        if speakers > 1:
            labels = speaker_labels(speakers)
            on_axis = label_positions(scores, scores.amin(1), scores.amax(1), labels)
            centres = torch.tensor(labels.centres, device=tokens.device)
            positions = on_axis, centres.repeat_interleave(speech.shape[1] // speakers)
        tokens = tokens + hear(block.audio_attn, block.norm_audio(tokens), speech, positions)

        normed = (norm(tokens, block.norm3.eps) * (1 + ffn_scale) + ffn_shift).to(dtype)
        return (tokens.float() + block.ffn(normed) * ffn_gate).to(dtype)


def norm(states: Tensor, eps: float) -> Tensor:
    """Layer norm in float32, without weight and bias."""
    return functional.layer_norm(states.float(), states.shape[-1:], eps=eps)


def heads_of(states: Tensor, heads: int) -> Tensor:
    """[B, L, dim] -> [B, L, H, D]."""
    return states.unflatten(2, (heads, -1))


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """PyTorch's fused attention: [B, L, H, D], [B, K, H, D] twice -> [B, L, H, D]."""
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def rotate(states: Tensor, turns: Tensor) -> Tensor:
    """Turn consecutive channel pairs, in complex128: [..., D] -> [..., D]."""
    pairs = torch.view_as_complex(states.double().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(states.dtype)


def hear(
    layer: AudioAttention, states: Tensor, speech: Tensor, positions: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Attention of each frame's tokens to its speech, labelled where two or more speak."""
    query = layer.to_q(states)[0].unflatten(0, (len(speech), -1))  # [T, tokens, dim]
    query = heads_of(query, layer.heads)
    key, value = layer.to_kv(speech).unflatten(2, (2, layer.heads, -1)).unbind(2)
    if positions is not None:
        head_dim = query.shape[-1]
        channels = torch.arange(0, head_dim, 2, device=states.device) / head_dim
        on_tokens, on_speech = (
            torch.polar(torch.ones_like(angles), angles)
            for angles in (
                torch.outer(axis.double(), 10_000 ** -channels.double()) for axis in positions
            )
        )
        query = rotate(query, on_tokens.unflatten(0, query.shape[:2])[:, :, None])
        key = rotate(key, on_speech[:, None])
    return layer.to_out[0](attention(query, key, value).flatten(0, 1).flatten(1)[None])


def speaker_map_of_scores(
    query: Tensor, key: Tensor, masks: Tensor, *, class_by_class: bool = True
) -> Tensor:
    """As `speaker_binding.speaker_map`, from scores [heads / 2, L, n], half of the heads at once.

    Args:
        query: [1, L, H, D] with H even.
        key: Keys of latent frame 0, [1, n, H, D].
        masks: Bool [S + 1, n].
        class_by_class: As `PlainTransformer` takes it.

    Returns:
        float32 [S + 1, L].
    """
    shares = (masks / masks.sum(1, keepdim=True).clamp(min=1)).T.to(query.dtype)  # [n, S + 1]
    halves = zip(query[0].chunk(2, dim=1), key[0].chunk(2, dim=1), strict=True)
    maps = []
    for half_query, half_key in halves:
        scaled = half_query.transpose(0, 1) * half_query.shape[-1] ** -0.5
        scores = (scaled @ half_key.permute(1, 2, 0)).softmax(-1)  # [H / 2, L, n]
        if class_by_class:
            classes = [(scores * share).sum(-1) for share in shares.T]
            maps.append(torch.stack(classes, dim=-1).float().mean(0))  # [L, S + 1]
        else:
            maps.append((scores @ shares).float().mean(0))
    return torch.stack(maps).mean(0).T
