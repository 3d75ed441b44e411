"""The viseme network in numpy: class probabilities, 50 times a second.

The backbone is the lower half of the encoder of Whisper tiny.en (Radford et al., "Robust speech
recognition via large-scale weak supervision", 2022), trained on over 400 000 hours of speech: two
convolutions, of which the second halves the rate, and two pre-norm transformer layers (Vaswani et
al., "Attention is all you need", 2017). The head is two more convolutions. `tools/visemes/train.py`
trains all of it together, with weights of four bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from multitalk.array_types import Array

STRIDE = 2  # features a step
NUM_LAYERS = 2
HEAD_WIDTH = 64  # channels of one attention head
NUM_HEAD_BLOCKS = 2
LONGEST_PERIOD = 10_000.0  # of a position's sines, in steps over 2 pi
NORM_EPSILON = 1e-5
# Context on both sides of the steps whose result is used.
CONTEXT_STEPS = 35


class Affine(NamedTuple):
    """A matrix, float32 [inputs, outputs], or for a convolution [taps, inputs, outputs]; a bias."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class TransformerLayer:
    """A pre-norm layer: self-attention, then a feed-forward network; norms as (scale, shift)."""

    attention_norm: Affine
    attention_in: Affine
    attention_out: Affine
    forward_norm: Affine
    forward_in: Affine
    forward_out: Affine


@dataclass(frozen=True)
class VisemeWeights:
    """All weights, in the order in which they are used."""

    front: tuple[Affine, Affine]
    layers: tuple[TransformerLayer, ...]
    norm: Affine
    entry: Affine
    blocks: tuple[Affine, ...]
    exit: Affine


def weights_from(arrays: Mapping[str, NDArray[np.generic]]) -> VisemeWeights:
    """Arrange the arrays of a weights file.

    A part has a bias and a weight, float16, or small integers that count steps of NAME_step,
    float16 [outputs].
    """

    def affine(name: str) -> Affine:
        weight = arrays[f"{name}_weight"].astype(np.float32)
        if f"{name}_step" in arrays:
            weight *= arrays[f"{name}_step"].astype(np.float32)
        return Affine(weight, arrays[f"{name}_bias"].astype(np.float32))

    parts = TransformerLayer.__dataclass_fields__
    return VisemeWeights(
        front=(affine("front0"), affine("front1")),
        layers=tuple(
            TransformerLayer(**{part: affine(f"layer{index}_{part}") for part in parts})
            for index in range(NUM_LAYERS)
        ),
        norm=affine("norm"),
        entry=affine("entry"),
        blocks=tuple(affine(f"block{index}") for index in range(NUM_HEAD_BLOCKS)),
        exit=affine("exit"),
    )


@cache
def shipped_weights() -> VisemeWeights:
    """The weights that come with the package, read once."""
    path = files("multitalk.speech").joinpath("visemes.npz")
    with path.open("rb") as file, np.load(file) as arrays:
        return weights_from(arrays)


def predict(log_mel: Array, weights: VisemeWeights) -> Array:
    """Run the network.

    Args:
        log_mel: From `log_mel.relative_log`, float32 [T, NUM_BANDS]. Any T; every step attends to
            all others, and in training there were 350.
        weights: As trained.

    Returns:
        Class probabilities [ceil(T / 2), NUM_VISEMES].
    """
    # The products are small: a second BLAS thread would only spin, for a third of all CPU time.
    with threadpool_limits(1, user_api="blas"):
        return _class_probabilities(log_mel, weights)


def _class_probabilities(log_mel: Array, weights: VisemeWeights) -> Array:
    first, second = weights.front
    hidden = gelu(conv1d(gelu(conv1d(log_mel, first)), second, stride=STRIDE))
    hidden += sinusoidal_positions(*hidden.shape)
    for layer in weights.layers:
        hidden += self_attention(layer_norm(hidden, layer.attention_norm), layer)
        inner = gelu(linear(layer_norm(hidden, layer.forward_norm), layer.forward_in))
        hidden += linear(inner, layer.forward_out)
    hidden = np.maximum(linear(layer_norm(hidden, weights.norm), weights.entry), 0)
    for index, block in enumerate(weights.blocks):
        hidden += np.maximum(conv1d(hidden, block, dilation=2**index), 0)
    scores = linear(hidden, weights.exit)
    return softmax(scores)


def linear(values: Array, affine: Affine) -> Array:
    """An affine map of every step, [N, inputs] to [N, outputs]."""
    result: Array = values @ affine.weight
    result += affine.bias
    return result


def conv1d(values: Array, affine: Affine, *, stride: int = 1, dilation: int = 1) -> Array:
    """A convolution along the steps, zeros around them: [N, inputs] to [ceil(N / stride), outputs].

    The taps are concatenated, so that the whole is one matrix product.
    """
    num_taps, num_inputs, num_outputs = affine.weight.shape
    reach = num_taps // 2 * dilation
    padded = np.pad(values, ((reach, reach), (0, 0)))
    taps = [padded[tap * dilation :][: len(values) : stride] for tap in range(num_taps)]
    flat = affine.weight.reshape(num_taps * num_inputs, num_outputs)
    return linear(np.concatenate(taps, axis=1), Affine(flat, affine.bias))


def self_attention(values: Array, layer: TransformerLayer) -> Array:
    """Multi-head self-attention over all steps: [N, C] to [N, C]."""
    num_steps, width = values.shape
    projected = linear(values, layer.attention_in).reshape(num_steps, 3, -1, HEAD_WIDTH)
    queries, keys, heads = projected.transpose(1, 2, 0, 3)  # each [heads, N, HEAD_WIDTH]
    scores = queries @ keys.transpose(0, 2, 1)
    scores *= np.float32(HEAD_WIDTH**-0.5)
    attended = softmax(scores) @ heads
    return linear(attended.transpose(1, 0, 2).reshape(num_steps, width), layer.attention_out)


def layer_norm(values: Array, norm: Affine) -> Array:
    """Layer normalisation (Ba et al., 2016) of each step [N, C]."""
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + np.float32(NORM_EPSILON))
    result: Array = centred / deviation * norm.weight + norm.bias
    return result


def gelu(values: Array) -> Array:
    """Gaussian error linear unit, in the form with tanh (Hendrycks and Gimpel, 2016)."""
    inner = values * (np.float32(0.7978846) + np.float32(0.0356774) * values**2)
    np.tanh(inner, out=inner)
    inner += 1
    inner *= values
    inner *= np.float32(0.5)
    return inner


def softmax(scores: Array) -> Array:
    """Probabilities along the last axis."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


@cache
def sinusoidal_positions(num_steps: int, width: int) -> Array:
    """Sines, then cosines, of steps at `width / 2` rates: float32 [num_steps, width]."""
    rates = LONGEST_PERIOD ** -np.linspace(0, 1, width // 2)
    angles = np.arange(num_steps)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
