"""Axis-aligned boxes in pixels of a picture."""

from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max


def scaled_box(box: Box, factor: float) -> Box:
    """A box in a picture that is enlarged by a factor."""
    x_min, y_min, x_max, y_max = box
    return x_min * factor, y_min * factor, x_max * factor, y_max * factor
