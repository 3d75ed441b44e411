"""The viseme network on sound without an end: each step is computed a bounded number of times.

The newest steps are provisional: they are computed again when more sound has come, because their
future was not complete. Older steps are settled: of them only the keys and values that later steps
attend to are kept (as in Dai et al., "Transformer-XL", 2019), and what the convolutions of the head
reach back to. So the cost of a piece of sound does not depend on how much came before it.
"""

from dataclasses import replace

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.viseme_network import (
    HEAD_WIDTH,
    STRIDE,
    TransformerLayer,
    VisemeWeights,
    class_scores,
    feed_forward,
    front,
    layer_norm,
    linear,
    one_blas_thread,
    packaged_weights,
    sinusoidal_positions,
    softmax,
)

PROVISIONAL_STEPS = 10  # before the end of the sound: 0.2 s
PAST_STEPS = 120  # settled steps that the provisional ones attend to: 2.4 s
# Features and settled steps that the convolutions of front and head reach back to.
FRONT_REACH = 2
HEAD_REACH = 6
LONGEST_STREAM = 350  # steps: as many as in training
TILE_WIDTH = 32  # outputs


def live_weights() -> VisemeWeights:
    """The weights for little future, which come with the package.

    `tools/visemes/distil_stream.py` makes them of those for whole talks.
    """
    return packaged_weights("visemes_live.npz")


class VisemeStream:
    """Runs the network on features as they come.

    Positions count from the beginning, and the network knows `LONGEST_STREAM` of them. Who goes on
    begins again before that, with the last second or so: `skip`.
    """

    def __init__(self, weights: VisemeWeights) -> None:
        """Begin; nothing is settled."""
        self._weights = _tiled(weights)
        self._first = 0  # step, where it began
        self._settled = 0
        self._past = [_Past() for _ in weights.layers]
        self._entries = np.zeros((0, len(weights.entry.bias)), np.float32)  # of the head

    @property
    def settled(self) -> int:
        """Number of steps that are settled: the next call begins with this step."""
        return self._settled

    @property
    def begun(self) -> int:
        """The step with which it began."""
        return self._first

    def advance(self, log_mel: Array) -> Array:
        """Run the network on all that is not settled.

        Args:
            log_mel: Features from `FRONT_REACH` before feature `STRIDE * settled` to the newest,
                float32 [FRONT_REACH + F, NUM_BANDS]. Nothing is known of those that follow.

        Returns:
            Class probabilities of the ceil(F / STRIDE) steps from `settled` on, as it was before:
            [N, NUM_VISEMES]. All but the last `PROVISIONAL_STEPS` are settled now.

        Raises:
            ValueError: The stream is longer than `LONGEST_STREAM`.
        """
        # The products are small: a second BLAS thread would only spin.
        with one_blas_thread():
            return self._class_probabilities(log_mel)

    def skip(self, num_steps: int) -> None:
        """Begin again after the first `num_steps`, without a past."""
        self._first = self._settled = num_steps
        self._entries = self._entries[:0]
        self._past = [_Past() for _ in self._past]

    def cut(self, num_steps: int) -> None:
        """Drop all steps after the first `num_steps`."""
        surplus = self._settled - num_steps
        if surplus <= 0:
            return
        if num_steps < self._first:
            self.skip(num_steps)
            return
        self._settled = num_steps
        self._entries = self._entries[: max(len(self._entries) - surplus, 0)]
        for past in self._past:
            past.cut(surplus)

    def _class_probabilities(self, log_mel: Array) -> Array:
        weights = self._weights
        hidden = front(log_mel, weights)[FRONT_REACH // STRIDE :]
        num_steps, width = hidden.shape
        position = self._settled - self._first
        hidden += sinusoidal_positions(LONGEST_STREAM, width)[position : position + num_steps]
        num_provisional = min(num_steps, PROVISIONAL_STEPS)
        for layer, past in zip(weights.layers, self._past, strict=True):
            values = layer_norm(hidden, layer.attention_norm)
            hidden += past.attention(values, layer, num_provisional)
            hidden += feed_forward(hidden, layer)
        entries = np.maximum(linear(layer_norm(hidden, weights.norm), weights.entry), 0)
        entries = np.concatenate([self._entries, entries])
        scores = class_scores(entries[-num_steps - HEAD_REACH :], weights)[-num_steps:]
        # As many as keys and values, so that they, too, can be cut.
        self._entries = entries[: len(entries) - num_provisional][-PAST_STEPS:]
        self._settled += num_steps - num_provisional
        return softmax(scores)


class _Past:
    """Keys and values of one layer's settled steps."""

    def __init__(self) -> None:
        self._kept: Array | None = None  # [2, heads, N, HEAD_WIDTH], keys and values

    def attention(self, values: Array, layer: TransformerLayer, num_provisional: int) -> Array:
        """Attention of new steps to the past and each other; settles all but the last of them.

        Args:
            values: Of all steps that are not settled, [N, C].
            layer: Its projections.
            num_provisional: How many are not settled now.

        Returns:
            [N, C].
        """
        num_steps, width = values.shape
        projected = linear(values, layer.attention_in).reshape(num_steps, 3, -1, HEAD_WIDTH)
        queries, *pair = projected.transpose(1, 2, 0, 3)  # each [heads, N, HEAD_WIDTH]
        both = np.stack(pair)
        if self._kept is not None:
            both = np.concatenate([self._kept, both], axis=2)
        self._kept = both[:, :, : both.shape[2] - num_provisional][:, :, -PAST_STEPS:]
        keys, heads = both
        scores = queries @ keys.transpose(0, 2, 1)
        scores *= np.float32(HEAD_WIDTH**-0.5)
        attended = softmax(scores) @ heads
        return linear(attended.transpose(1, 0, 2).reshape(num_steps, width), layer.attention_out)

    def cut(self, num_steps: int) -> None:
        """Drop the last `num_steps`."""
        if self._kept is not None:
            self._kept = self._kept[:, :, : max(self._kept.shape[2] - num_steps, 0)]


def _tiled(weights: VisemeWeights) -> VisemeWeights:
    """The weights in tiles, for a few steps at once."""
    return replace(
        weights,
        front=(weights.front[0].tiled(TILE_WIDTH), weights.front[1].tiled(TILE_WIDTH)),
        layers=tuple(
            replace(
                layer,
                attention_in=layer.attention_in.tiled(TILE_WIDTH),
                attention_out=layer.attention_out.tiled(TILE_WIDTH),
                forward_in=layer.forward_in.tiled(TILE_WIDTH),
                forward_out=layer.forward_out.tiled(TILE_WIDTH),
            )
            for layer in weights.layers
        ),
        entry=weights.entry.tiled(TILE_WIDTH),
        blocks=tuple(block.tiled(TILE_WIDTH) for block in weights.blocks),
    )
