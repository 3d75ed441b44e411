"""Sprite: a drawing in dental units, and how it comes into a picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import three_channels

OPAQUE = 255.0  # cover of what hides all behind it


@dataclass(frozen=True)
class Sprite:
    """A drawing in dental units.

    Attributes:
        pixels: Premultiplied colour and cover, float32 [h, w, 4], 0..255.
        origin: Pixel (x, y) of the origin of u and v.
    """

    pixels: Array
    origin: tuple[float, float]


def moved(pixels: Array, transform: NDArray[np.floating], size: tuple[int, int]) -> Array:
    """Pixels [h, w, 4] moved by an affine map [2, 3] into a picture of a size (w, h)."""
    placed = cv2.warpAffine(pixels, transform.astype(np.float64), size, flags=cv2.INTER_LINEAR)
    return placed.astype(np.float32, copy=False)


def blend(picture: Array, placed: Array, *, light: float | NDArray[np.floating] = 1.0) -> None:
    """Blend premultiplied colour and cover [h, w, 4], 0..255, over a picture, in place.

    Args:
        picture: float32 [h, w, 3].
        placed: float32 [h, w, 4].
        light: Factor of its colour, or one for each channel [3].
    """
    # OpenCV's functions are several times faster than numpy's where the last axis is short.
    keep = cv2.extractChannel(placed, 3) * np.float32(-1 / OPAQUE) + np.float32(1)
    cv2.multiply(picture, three_channels(keep), dst=picture)
    lit = cv2.cvtColor(placed, cv2.COLOR_RGBA2RGB)
    channels = (*np.broadcast_to(light, 3).tolist(), 0.0)
    cv2.multiply(lit, channels, dst=lit)  # type: ignore[call-overload]
    cv2.add(picture, lit, dst=picture)
