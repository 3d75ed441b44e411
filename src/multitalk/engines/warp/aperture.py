"""Aperture: the opening between the lips in one frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array


@dataclass(frozen=True)
class Aperture:
    """The opening between the lips in one frame.

    Attributes:
        upper: Lower edge of the upper lip, pixels of the frame, [N, 2], right to left.
        lower: Upper edge of the lower lip, [N, 2].
        seam: Their mean, along which the two layers are joined, [N, 2].
        gap: Pixels between the lips along the face, [N], never negative.
    """

    upper: Array
    lower: Array
    seam: Array
    gap: Array

    @classmethod
    def between(cls, upper: Array, lower: Array, down: NDArray[np.float64]) -> "Aperture":
        """The opening of two lip edges; lips that overlap meet half-way.

        Args:
            upper: [N, 2] pixels.
            lower: [N, 2] pixels.
            down: Unit vector down the face.
        """
        gap = ((lower - upper) @ down).astype(np.float32)
        overlap = (np.clip(-gap, 0, None)[:, None] * down / 2).astype(np.float32)
        upper, lower = upper - overlap, lower + overlap
        seam = (upper + lower) / np.float32(2)
        return cls(upper, lower, seam, np.maximum(gap, 0))
