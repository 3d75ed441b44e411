"""The viseme network as `multitalk.speech.viseme_stream` runs it, at many instants of a lesson.

At an instant of a live stream the newest `PROVISIONAL_STEPS` steps are computed with what future
they have, and attend to settled steps, which had a longer one. So each step of a lesson is computed
as a settled one, and the newest of each of many instants beside them: a window of `hop` steps is
settled, with the `PROVISIONAL_STEPS` after it, and the next window begins where it ends. The stream
settles two steps at a time; a longer hop is cheaper, and gives settled ones a little more future.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from viseme_network_torch import WIDTH, EarNetwork, NetworkLayer

from multitalk.speech.phonemes import NUM_VISEMES
from multitalk.speech.viseme_network import HEAD_WIDTH, STRIDE, sinusoidal_positions
from multitalk.speech.viseme_stream import FRONT_REACH, HEAD_REACH, PAST_STEPS, PROVISIONAL_STEPS


class Instants(NamedTuple):
    """Scores of a lesson at instants that are `hop` steps apart.

    Attributes:
        settled: Of the steps as they are settled, [B, W * hop, NUM_VISEMES].
        newest: Of the last steps at each instant, [B, W, PROVISIONAL_STEPS, NUM_VISEMES]: instant w
            ends before step (w + 1) * hop + PROVISIONAL_STEPS.
    """

    settled: Tensor
    newest: Tensor


class StreamNetwork(EarNetwork):
    """Scores of instants; the parts and the weights file are those of `EarNetwork`."""

    def stream(self, heard: Tensor, *, hop: int) -> Instants:
        """Scores of as many windows of `hop` steps as a lesson holds.

        Args:
            heard: [B, NUM_BANDS, FRONT_REACH + 2 N].
            hop: Steps from one instant to the next.
        """
        num_windows = num_instants(heard.shape[2], hop)
        if num_windows < 1:
            raise ValueError(
                f"a lesson of {heard.shape[2]} features holds no window of {hop} steps"
            )
        hidden = self._entered(heard, hop, num_windows)
        mask = torch.from_numpy(window_mask(num_windows, hop))
        for layer in self.layers:
            hidden = attend(layer, hidden, mask)
        entries = functional.relu(self.entry(self._forget(self.norm(hidden))))
        num_settled = num_windows * hop
        settled, newest = entries[:, :num_settled], entries[:, num_settled:]
        # Each window with the settled steps that its convolutions reach back to.
        reached = functional.pad(settled, (0, 0, HEAD_REACH, 0)).unfold(1, HEAD_REACH + hop, hop)
        newest = newest.unflatten(1, (num_windows, PROVISIONAL_STEPS)).transpose(2, 3)
        windows = torch.cat([reached, newest], dim=3).flatten(0, 1)  # [B * W, CHANNELS, ...]
        for block in self.blocks:
            windows = windows + functional.relu(block(self._forget(windows)))
        scores = self.exit(windows[:, :, HEAD_REACH:].transpose(1, 2))[..., :NUM_VISEMES]
        scores = scores.unflatten(0, (-1, num_windows))
        return Instants(scores[:, :, :hop].flatten(1, 2), scores[:, :, hop:])

    def _entered(self, heard: Tensor, hop: int, num_windows: int) -> Tensor:
        """The convolutions and positions of all settled, then all newest steps: [B, L, WIDTH]."""
        whole = self._front(heard)[:, FRONT_REACH // STRIDE :]
        # Of the last step of an instant only its own first feature is known, as in `live_visemes`.
        last = (np.arange(num_windows) + 1) * hop + PROVISIONAL_STEPS - 1
        known = heard.unfold(2, 2 * STRIDE + 1, STRIDE)[:, :, last + FRONT_REACH // STRIDE - STRIDE]
        newest_known = self._front(known.transpose(1, 2).flatten(0, 1))[:, -1]
        steps = np.arange(num_windows * hop)
        newest = last[:, None] - np.arange(PROVISIONAL_STEPS - 1, -1, -1)
        newest_steps = torch.cat(
            [whole[:, newest[:, :-1]], newest_known.unflatten(0, (len(heard), -1))[:, :, None]],
            dim=2,
        )
        hidden = torch.cat([whole[:, steps], newest_steps.flatten(1, 2)], dim=1)
        positions = np.concatenate([steps, newest.ravel()])
        return hidden + torch.from_numpy(sinusoidal_positions(last[-1] + 1, WIDTH)[positions])

    def _front(self, heard: Tensor) -> Tensor:
        """The convolutions, [B, ceil(T / STRIDE), WIDTH]."""
        for front in self.front:
            heard = functional.gelu(front(heard))
        return heard.transpose(1, 2)


def num_instants(num_features: int, hop: int) -> int:
    """How many windows of `hop` steps and the newest after it a lesson holds."""
    return ((num_features - FRONT_REACH) // STRIDE - PROVISIONAL_STEPS) // hop


def attend(layer: NetworkLayer, hidden: Tensor, mask: Tensor) -> Tensor:
    """A transformer layer whose attention is masked: [B, L, WIDTH]."""
    asked = layer.attention_in(layer.attention_norm(hidden))
    heads = asked.unflatten(2, (3, -1, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)
    found = functional.scaled_dot_product_attention(*heads, attn_mask=mask)
    hidden = hidden + layer.attention_out(found.transpose(1, 2).flatten(2))
    inner = functional.gelu(layer.forward_in(layer.forward_norm(hidden)))
    return hidden + layer.forward_out(inner)


def window_mask(num_windows: int, hop: int) -> NDArray[np.bool_]:
    """Which settled and newest steps each attends to, bool [L, L].

    The steps of a window and the newest after it attend to each other, and to `PAST_STEPS` settled
    ones before the window.
    """
    settled = np.arange(num_windows * hop)
    window = np.concatenate([settled // hop, np.repeat(np.arange(num_windows), PROVISIONAL_STEPS)])
    is_past = (settled < window[:, None] * hop) & (settled >= window[:, None] * hop - PAST_STEPS)
    seen = window[:, None] == window
    seen[:, : len(settled)] |= is_past
    return seen
