"""The viseme network as `multitalk.speech.viseme_stream` runs it, a whole lesson at once.

A lesson is cut into chunks. A step attends to its own chunk and to the past, and its convolutions
end with its chunk: so the last step of a chunk has no future, and the first has that of the whole
chunk. The same weights then serve any look-ahead.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from viseme_network_torch import WIDTH, EarNetwork, Layer

from multitalk.speech.phonemes import NUM_VISEMES
from multitalk.speech.viseme_network import HEAD_WIDTH, STRIDE, sinusoidal_positions
from multitalk.speech.viseme_stream import FRONT_REACH, HEAD_REACH, PAST_STEPS


class StreamNetwork(EarNetwork):
    """Scores of chunks; the parts and the weights file are those of `EarNetwork`."""

    def stream(self, heard: Tensor, *, chunk: int) -> Tensor:
        """Scores without the future beyond each chunk.

        Args:
            heard: [B, NUM_BANDS, FRONT_REACH + T].
            chunk: Steps, at most T / STRIDE.

        Returns:
            [B, NUM_VISEMES, N]: N is the largest whole number of chunks.
        """
        hidden = self._front(heard, chunk)
        num_steps = hidden.shape[1]
        hidden = hidden + torch.from_numpy(sinusoidal_positions(num_steps, WIDTH))
        mask = chunk_mask(num_steps, chunk)
        for layer in self.layers:
            hidden = attend(layer, hidden, mask)
        entries = functional.relu(self.entry(self._forget(self.norm(hidden)))).transpose(1, 2)
        windows = functional.pad(entries, (HEAD_REACH, 0)).unfold(2, HEAD_REACH + chunk, chunk)
        windows = windows.transpose(1, 2).flatten(0, 1)  # [B * chunks, CHANNELS, ...]
        for block in self.blocks:
            windows = windows + functional.relu(block(self._forget(windows)))
        scores = self.exit(windows[:, :, HEAD_REACH:].transpose(1, 2))[..., :NUM_VISEMES]
        return scores.reshape(len(heard), num_steps, NUM_VISEMES).transpose(1, 2)

    def _front(self, heard: Tensor, chunk: int) -> Tensor:
        """The convolutions of each chunk, [B, N, WIDTH].

        Of a chunk's last step only its own feature is known, as in `live_visemes`.
        """
        windows = heard.unfold(2, FRONT_REACH + STRIDE * chunk - 1, STRIDE * chunk)
        windows = windows.transpose(1, 2).flatten(0, 1)
        for front in self.front:
            windows = functional.gelu(front(windows))
        return windows[:, :, FRONT_REACH // STRIDE :].transpose(1, 2).reshape(len(heard), -1, WIDTH)


def attend(layer: Layer, hidden: Tensor, mask: Tensor) -> Tensor:
    """A transformer layer whose attention is masked: [B, N, WIDTH]."""
    asked = layer.attention_in(layer.attention_norm(hidden))
    heads = asked.unflatten(2, (3, -1, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)
    found = functional.scaled_dot_product_attention(*heads, attn_mask=mask)
    hidden = hidden + layer.attention_out(found.transpose(1, 2).flatten(2))
    inner = functional.gelu(layer.forward_in(layer.forward_norm(hidden)))
    return hidden + layer.forward_out(inner)


def chunk_mask(num_steps: int, chunk: int) -> Tensor:
    """Which steps each attends to, bool [N, N]: its chunk and `PAST_STEPS` before it."""
    begin = np.arange(num_steps) // chunk * chunk
    steps = np.arange(num_steps)
    seen = (steps < begin[:, None] + chunk) & (steps >= begin[:, None] - PAST_STEPS)
    return torch.from_numpy(seen)
