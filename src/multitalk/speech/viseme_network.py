"""The viseme network in numpy: class probabilities, 50 times a second.

The backbone is the lower half of the encoder of Whisper tiny.en (Radford et al., "Robust speech
recognition via large-scale weak supervision", 2022), trained on over 400 000 hours of speech: two
convolutions, of which the second halves the rate, and two pre-norm transformer layers (Vaswani et
al., "Attention is all you need", 2017). The head is two more convolutions. `tools/visemes/train.py`
trains all of it together, with weights of four bits.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

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
    """A matrix and a bias, float32.

    Attributes:
        weight: [inputs, outputs]; of a convolution [taps * inputs, outputs]; or in tiles, [tiles,
            inputs, outputs / tiles].
        bias: [outputs].
    """

    weight: Array
    bias: Array

    def tiled(self, width: int) -> "Affine":
        """The map in tiles of `width` outputs, if these divide them: faster for a few steps.

        Below about 100^3 multiplications OpenBLAS does not copy a matrix before it is used, and for
        few steps that copy costs more than the product.
        """
        num_inputs, num_outputs = self.weight.shape
        if num_outputs % width:
            return self
        tiles = self.weight.reshape(num_inputs, -1, width).transpose(1, 0, 2)
        return Affine(np.ascontiguousarray(tiles), self.bias)


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
        bias = arrays[f"{name}_bias"].astype(np.float32)
        return Affine(weight.reshape(-1, len(bias)) if weight.ndim > 2 else weight, bias)

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


def shipped_weights() -> VisemeWeights:
    """The weights for whole talks, which come with the package."""
    return packaged_weights("visemes.npz")


@cache
def packaged_weights(name: str) -> VisemeWeights:
    """The weights of a file of the package, read once."""
    path = files("multitalk.speech").joinpath(name)
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
    with one_blas_thread():
        return _class_probabilities(log_mel, weights)


def _class_probabilities(log_mel: Array, weights: VisemeWeights) -> Array:
    hidden = front(log_mel, weights)
    hidden += sinusoidal_positions(*hidden.shape)
    for layer in weights.layers:
        hidden += self_attention(layer_norm(hidden, layer.attention_norm), layer)
        hidden += feed_forward(hidden, layer)
    entries = np.maximum(linear(layer_norm(hidden, weights.norm), weights.entry), 0)
    return softmax(class_scores(entries, weights))


def front(log_mel: Array, weights: VisemeWeights) -> Array:
    """The first convolutions, zeros around the features: [T, NUM_BANDS] to [ceil(T / 2), C]."""
    first, second = weights.front
    return gelu(conv1d(gelu(conv1d(log_mel, first)), second, stride=STRIDE))


def feed_forward(hidden: Array, layer: TransformerLayer) -> Array:
    """The second half of a layer, of every step: [N, C] to [N, C]."""
    inner = gelu(linear(layer_norm(hidden, layer.forward_norm), layer.forward_in))
    return linear(inner, layer.forward_out)


def class_scores(entries: Array, weights: VisemeWeights) -> Array:
    """The head's convolutions and the classes' scores: [N, CHANNELS] to [N, NUM_VISEMES]."""
    for index, block in enumerate(weights.blocks):
        entries = entries + np.maximum(conv1d(entries, block, dilation=2**index), 0)
    return linear(entries, weights.exit)


def linear(values: Array, affine: Affine) -> Array:
    """An affine map of every step, [N, inputs] to [N, outputs]."""
    product = values @ affine.weight
    if product.ndim == 2:
        product += affine.bias
        return product
    result = np.empty((len(values), len(affine.bias)), np.float32)
    tiles = result.reshape(len(values), len(product), -1)
    np.add(product.transpose(1, 0, 2), affine.bias.reshape(len(product), -1), out=tiles)
    return result


def conv1d(values: Array, affine: Affine, *, stride: int = 1, dilation: int = 1) -> Array:
    """A convolution along the steps, zeros around them: [N, inputs] to [ceil(N / stride), outputs].

    The taps are concatenated, so that the whole is one matrix product.
    """
    num_steps, num_inputs = values.shape
    num_taps = affine.weight.shape[-2] // num_inputs
    reach = num_taps // 2 * dilation
    padded = np.zeros((num_steps + 2 * reach, num_inputs), np.float32)
    padded[reach : reach + num_steps] = values
    taps = [padded[tap * dilation :][:num_steps:stride] for tap in range(num_taps)]
    return linear(np.concatenate(taps, axis=1), affine)


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


@cache
def _controller() -> ThreadpoolController:
    """Finding the libraries reads the process's whole memory map, 2 ms: once is enough."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """While the context is open, the BLAS of this process has one thread.

    In small products a second thread would only spin, for a third of all CPU time.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited
