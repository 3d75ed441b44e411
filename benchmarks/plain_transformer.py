"""The same network without the savings, to measure what they save.

The weights and the result are the transformer's own. What is spent again, as the published
implementation spends it: the speaker map is made in every block and for one speaker too, where
nobody reads it, from scores written out; rotary factors are applied in float64.
What does not depend on the timestep is computed in every forward: leave `conditioning` out.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers.models.transformers.transformer_wan import WanAttention

from multitalk.engines.diffusion.attention import Rotary, TokenAttnProcessor
from multitalk.engines.diffusion.speaker_binding import SpeakerBinding, label_positions
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel


def speaker_map_of_scores(
    query: torch.Tensor, key: torch.Tensor, masks: torch.Tensor, *, class_by_class: bool = True
) -> torch.Tensor:
    """As `speaker_binding.speaker_map`, from scores [heads / 2, L, n], half of the heads at once.

    Args:
        query: [1, L, H, D] with H even.
        key: Keys of latent frame 0, [1, n, H, D].
        masks: Bool [S + 1, n].
        class_by_class: Mask and add the scores once for each class, as published; else one
            matrix product does it for all.

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


def rotate_exactly(states: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Turn consecutive channel pairs, in complex128: [..., D] -> [..., D]."""
    turns = torch.complex(rotary[0].double(), rotary[1].double())
    pairs = torch.view_as_complex(states.double().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(states)


class PlainTokenAttnProcessor(TokenAttnProcessor):
    """Self attention without the savings.

    Args:
        masks: Of the speakers and the background, bool [S + 1, n], for any number of speakers.
        class_by_class: As `speaker_map_of_scores` takes it.
    """

    def __init__(self, masks: torch.Tensor, *, class_by_class: bool) -> None:
        self.masks = masks
        self.class_by_class = class_by_class

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: None = None,  # noqa: ARG002 - the layer passes it
        attention_mask: None = None,  # noqa: ARG002 - likewise
        rotary_emb: Rotary | None = None,
        *,
        binding: SpeakerBinding | None = None,
    ) -> torch.Tensor:
        """As the class it replaces, for self attention on one device."""
        query = self._heads(attn, attn.norm_q(attn.to_q(hidden_states)))
        key = self._heads(attn, attn.norm_k(attn.to_k(hidden_states)))
        value = self._heads(attn, attn.to_v(hidden_states))
        query, key = rotate_exactly(query, rotary_emb), rotate_exactly(key, rotary_emb)
        attended = self._attend(query, key, value)
        first = key[:, : self.masks.shape[1]]
        scores = speaker_map_of_scores(query, first, self.masks, class_by_class=self.class_by_class)
        if binding is not None:
            positions = label_positions(scores, scores.amin(1), scores.amax(1), binding.labels)
            binding._query_positions = positions
        return attn.to_out[1](attn.to_out[0](attended.flatten(2).type_as(hidden_states)))


@contextmanager
def without_savings(
    model: MultiTalkTransformer3DModel, masks: torch.Tensor, *, class_by_class: bool
) -> Iterator[None]:
    """Within it, the model's self attentions are plain; arguments as their processor takes them."""
    layers = [block.attn1 for block in model.blocks]
    saved = [layer.processor for layer in layers]
    plain = PlainTokenAttnProcessor(masks, class_by_class=class_by_class)
    try:
        for layer in layers:
            layer.processor = plain
        yield
    finally:
        for layer, processor in zip(layers, saved, strict=True):
            layer.processor = processor
