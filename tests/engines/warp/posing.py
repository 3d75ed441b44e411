"""Poses by the names of their weights."""

import numpy as np

from multitalk.engines.warp.renderer import HeadRenderer, Pose
from multitalk.engines.warp.rig import INDEX, WEIGHTS


def pose(
    closed: float = 0.0,
    look: tuple[float, float] = (0.0, 0.0),
    rounding: float = 0.0,
    **weights: float,
) -> Pose:
    """A pose that is the photograph but for the weights that are named."""
    vector = np.zeros(len(WEIGHTS), np.float32)
    for name, weight in weights.items():
        vector[INDEX[name]] = weight
    return Pose(vector, closed=closed, look=look, rounding=rounding)


def lip_gap(renderer: HeadRenderer, pose: Pose) -> float:
    """Distance between the inner lips at the middle in a pose, face heights."""
    gaps = renderer._layers(pose).aperture.gap
    return float(gaps[len(gaps) // 2]) / renderer.rig.frame.height
