"""What a network says of a whole recording, as the runtime would hear it."""

import numpy as np
from training_data import LESSON_STEPS, heard

from multitalk.array_types import Array
from multitalk.speech.viseme_network import CONTEXT_STEPS, STRIDE, VisemeWeights, predict

KEPT_STEPS = LESSON_STEPS - 2 * CONTEXT_STEPS  # of each window


def class_probabilities(samples: Array, weights: VisemeWeights) -> Array:
    """Of the classes at `PROBABILITY_RATE`, [N, NUM_VISEMES], of samples [S]."""
    bands = heard(samples)
    num_steps = -(-len(bands) // STRIDE)
    around = ((CONTEXT_STEPS * STRIDE, LESSON_STEPS * STRIDE), (0, 0))
    padded = np.pad(bands, around, constant_values=bands.min())
    windows = [
        predict(padded[STRIDE * first :][: STRIDE * LESSON_STEPS], weights)
        for first in range(0, num_steps, KEPT_STEPS)
    ]
    kept = [window[CONTEXT_STEPS : CONTEXT_STEPS + KEPT_STEPS] for window in windows]
    return np.concatenate(kept)[:num_steps]
