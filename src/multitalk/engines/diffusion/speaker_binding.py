"""Binding of the picture's tokens to speakers, by rotary labels (L-RoPE).

Z. Kong et al., "Let Them Talk: Audio-Driven Multi-Person Conversational Video Generation", 2025.
The binding follows from the network's own self attention: how much each token attends to the mask
of a speaker in the first latent frame. That gives each token a position on a short one-dimensional
axis, and each speaker's audio tokens a position near it, so that a mouth attends to its own voice.

Dims: L tokens, n tokens of one latent frame, S speakers, H heads, D channels of a head.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from multitalk.engines.diffusion.context_parallel import TokenShard

LABEL_RANGE = 24.0  # the axis ends here, as trained: speakers at 0..4 and 20..24
LABEL_WIDTH = 4.0
BACKGROUND_LABEL = LABEL_RANGE / 2
SMALLEST_SPREAD = 1e-8


@dataclass(frozen=True)
class SpeakerLabels:
    """Intervals on the label axis: speaker i has [starts[i], starts[i] + width]."""

    starts: tuple[float, ...]
    width: float

    @property
    def centres(self) -> tuple[float, ...]:
        """The label of each speaker's audio tokens."""
        return tuple(start + self.width / 2 for start in self.starts)


def speaker_labels(num_speakers: int) -> SpeakerLabels:
    """Spread speakers over the label axis, the middle left free for the background.

    Two speakers get the labels that the model was trained with. More were never trained: the
    slots are even in number, symmetric about the background and do not touch.
    """
    if num_speakers < 2:
        raise ValueError(f"{num_speakers} speaker: labels tell speakers apart, two or more")
    num_slots = num_speakers + num_speakers % 2
    width = min(LABEL_WIDTH, LABEL_RANGE / (1.5 * num_slots))
    spacing = (LABEL_RANGE - width) / (num_slots - 1)
    slots = list(range(num_slots))
    if num_speakers % 2:
        del slots[num_slots // 2]
    return SpeakerLabels(tuple(slot * spacing for slot in slots), width)


def speaker_map(query: torch.Tensor, key: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Attention of each token to each class of the first latent frame, per token of the class.

    One fused attention call whose values are the masks: nothing of size L x n is ever stored.

    Args:
        query: [1, L, H, D], after norm and rotary.
        key: Keys of latent frame 0, [1, n, H, D].
        masks: Bool [S + 1, n], background last; S + 1 <= D.

    Returns:
        float32 [S + 1, L]; zero for a class that has no token.
    """
    num_classes, num_keys = masks.shape
    # The reference averages two equal halves of the heads: an odd one out is not looked at.
    heads = max(query.shape[2] // 2 * 2, 1)
    query, key = query[:, :, :heads].transpose(1, 2), key[:, :, :heads].transpose(1, 2)
    # As wide as a head: a narrower value matrix has no fused kernel.
    values = functional.pad(masks.T.to(query.dtype), (0, query.shape[-1] - num_classes))
    values = values.expand(1, heads, num_keys, -1)
    attended = functional.scaled_dot_product_attention(query, key, values)  # [1, H, L, D]
    attended = attended[0, ..., :num_classes].float().mean(0)  # [L, S + 1]
    return (attended / masks.sum(1).clamp(min=1)).T


def label_positions(
    speaker_map: torch.Tensor, lowest: torch.Tensor, highest: torch.Tensor, labels: SpeakerLabels
) -> torch.Tensor:
    """Each token's position on the label axis: its strongest class, by how strong that is.

    Args:
        speaker_map: [S + 1, L].
        lowest: Smallest value of each class over all tokens, [S + 1].
        highest: Largest value of each class over all tokens, [S + 1].
        labels: Intervals of the speakers.

    Returns:
        float32 [L]; the background is at 12.
    """
    spread = (highest - lowest + SMALLEST_SPREAD)[:, None]
    scaled = (speaker_map - lowest[:, None]) / spread * labels.width  # [S + 1, L]
    winner = speaker_map.argmax(0)  # [L]
    positions = torch.full_like(scaled[0], BACKGROUND_LABEL)
    for speaker, start in enumerate(labels.starts):
        positions = torch.where(winner == speaker, start + scaled[speaker], positions)
    return positions


class SpeakerBinding:
    """Passes a block's token labels from its self attention to its audio attention.

    Attributes:
        masks: Bool [S + 1, n], background last.
        labels: Intervals of the speakers.
        key_positions: Label of every audio token of one latent frame, [S x audio tokens].
    """

    def __init__(self, masks: torch.Tensor, audio_tokens: int) -> None:
        self.masks = masks
        self.labels = speaker_labels(masks.shape[0] - 1)
        centres = torch.tensor(self.labels.centres, device=masks.device)
        self.key_positions = centres.repeat_interleave(audio_tokens)
        self._query_positions: torch.Tensor | None = None

    def bind(self, query: torch.Tensor, key: torch.Tensor, shard: TokenShard) -> None:
        """Label this block's tokens.

        Args:
            query: [1, L, H, D], after norm and rotary.
            key: [1, L, H, D], likewise.
            shard: Of the talk's tokens.
        """
        num_keys = self.masks.shape[1]
        scores = speaker_map(query, shard.first_tokens(key, num_keys), self.masks)
        lowest, highest = shard.min_max(scores)
        self._query_positions = label_positions(scores, lowest, highest, self.labels)

    def take_query_positions(self) -> torch.Tensor:
        """The labels of this block's tokens, float32 [L], once: the next block makes its own."""
        if self._query_positions is None:
            raise RuntimeError("audio attention without the self attention of the same block")
        positions, self._query_positions = self._query_positions, None
        return positions
