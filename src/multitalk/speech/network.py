"""The viseme network in numpy: what is being spoken, 50 times a second.

A strided convolution halves the feature rate; five dilated convolutions with residual connections
look 0.68 s around; one matrix gives the classes. `tools/visemes/train.py` trains it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Array = NDArray[np.float32]

KERNEL = 5
DILATIONS = (1, 2, 4, 8, 1)
STRIDE = 2
# Steps that an output depends on, on both sides.
CONTEXT_STEPS = sum(KERNEL // 2 * dilation for dilation in DILATIONS) + KERNEL // 2


@dataclass(frozen=True)
class VisemeWeights:
    """Weights, float32; convolutions are [taps, inputs, outputs].

    Attributes:
        mean: Of the features, [NUM_FEATURES].
        deviation: Standard deviation of the features, [NUM_FEATURES].
        prior: Spectrum that a talk is expected to have before it is heard, [NUM_BANDS].
        layers: (weight, bias) of entry, blocks and exit.
    """

    mean: Array
    deviation: Array
    prior: Array
    layers: tuple[tuple[Array, Array], ...]


def weights_from(arrays: Mapping[str, NDArray[np.float16]]) -> VisemeWeights:
    """Arrange the arrays of a weights file."""
    whole = {name: arrays[name].astype(np.float32) for name in arrays}
    names = ("entry", *(f"block{index}" for index in range(len(DILATIONS))), "exit")
    layers = tuple((whole[f"{name}_weight"], whole[f"{name}_bias"]) for name in names)
    return VisemeWeights(whole["mean"], whole["deviation"], whole["prior"], layers)


@cache
def shipped_weights() -> VisemeWeights:
    """The weights that come with the package, read once."""
    path = files("multitalk.speech").joinpath("visemes.npz")
    with path.open("rb") as file, np.load(file) as arrays:
        return weights_from(arrays)


def listen(features: Array, weights: VisemeWeights) -> Array:
    """Run the network.

    Args:
        features: float32 [T, NUM_FEATURES]; T may be any length.
        weights: As trained.

    Returns:
        Class probabilities [ceil(T / 2), NUM_VISEMES].
    """
    # The products are small: a second BLAS thread would only spin, for a third of all CPU time.
    with threadpool_limits(1, user_api="blas"):
        return _class_probabilities(features, weights)


def _class_probabilities(features: Array, weights: VisemeWeights) -> Array:
    (entry, entry_bias), *blocks, (last, last_bias) = weights.layers
    num_steps = -(-len(features) // STRIDE)
    heard = (features - weights.mean) / weights.deviation
    padded = np.pad(heard, ((KERNEL // 2, KERNEL // 2 + STRIDE), (0, 0)))
    hidden = entry_bias + sum(
        padded[tap : tap + STRIDE * num_steps : STRIDE] @ entry[tap] for tap in range(KERNEL)
    )
    hidden = np.maximum(hidden, 0)  # [N, C]
    for (weight, bias), dilation in zip(blocks, DILATIONS, strict=True):
        padded = np.pad(hidden, ((KERNEL // 2 * dilation,) * 2, (0, 0)))
        moved = bias + sum(
            padded[tap * dilation : tap * dilation + num_steps] @ weight[tap]
            for tap in range(KERNEL)
        )
        hidden = hidden + np.maximum(moved, 0)
    scores = hidden @ last[0] + last_bias
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Array = raised / raised.sum(axis=1, keepdims=True)
    return probabilities
