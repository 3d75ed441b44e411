"""How soft and how grainy a photograph is, so that what is drawn into it can be the same."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.smoothing import gaussian_blur

REBLUR = 1.0  # pixels: standard deviation of the second blur
EDGES, SHARP_EDGES = 97, 25  # percentiles: gradients that are edges; their blur that is the lens's
LEAST_RATIO = 1.02  # of the gradients before and after the second blur
BLUR_LIMITS = (0.5, 2.5)  # pixels
FLAT = 40  # percentile of gradients below which all variation is grain
MAD = 1.4826  # standard deviations of a normal distribution per median absolute deviation
GRAIN_LEFT = 0.75  # of white grain's deviation that is left of it after `REBLUR` is subtracted
LEAST_GRAIN, MOST_GRAIN = 1.0, 6.0  # levels of 255: not seen below; above it is paint or hatching
GRAIN_SIDE, GRAIN_SOFTNESS = 256, 0.6  # pixels
MIN_SIDE = 8  # pixels of a face that can be measured


@dataclass(frozen=True)
class PictureTexture:
    """Softness and grain of a photograph around a face.

    Attributes:
        blur: Standard deviation of the sharpest edges' blur, pixels.
        grain: Standard deviation of the grain, levels of 255; 0 where none is seen.
    """

    blur: float
    grain: float

    @classmethod
    def of(cls, picture: NDArray[np.uint8], points: NDArray[np.float64]) -> "PictureTexture":
        """Measure it on a face.

        The blur is found by blurring once more: an edge of blur s has a gradient of
        sqrt(s^2 + r^2) / s times what is left of it after a blur of r (Zhuo and Sim, "Defocus map
        estimation from a single image", 2011).

        Args:
            picture: RGB uint8 [H, W, 3].
            points: Landmarks [478, 3] pixels.
        """
        low = np.maximum(points[:, :2].min(0).astype(int), 0)
        high = np.maximum(points[:, :2].max(0).astype(int), 0)
        face = picture[low[1] : high[1], low[0] : high[0]]
        if min(face.shape[:2]) < MIN_SIDE:
            return cls(1.0, 0.0)
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
        again = gaussian_blur(grey, REBLUR)
        before, after = _gradient(grey), _gradient(again)
        sharp, smooth = np.percentile(before, (EDGES, FLAT))
        edge = before > sharp
        if not edge.any():
            return cls(1.0, 0.0)
        ratio = np.maximum(before[edge] / np.maximum(after[edge], 1e-3), LEAST_RATIO)
        blur = np.percentile(REBLUR / np.sqrt(ratio**2 - 1), SHARP_EDGES)
        flat = before <= smooth
        grain = MAD * float(np.median(np.abs((grey - again)[flat]))) / GRAIN_LEFT
        return cls(
            float(np.clip(blur, *BLUR_LIMITS)),
            0.0 if grain < LEAST_GRAIN else min(grain, MOST_GRAIN),
        )

    def tile(self) -> Array | None:
        """Grain to add to a drawn surface, levels of 255, [GRAIN_SIDE, GRAIN_SIDE]; None if none.

        It is the same each time: a photograph's grain does not change from frame to frame.
        """
        if self.grain == 0:
            return None
        noise = np.random.default_rng(0).standard_normal((GRAIN_SIDE, GRAIN_SIDE))
        soft = gaussian_blur(noise.astype(np.float32), GRAIN_SOFTNESS)
        return soft * np.float32(self.grain / soft.std())


def _gradient(grey: Array) -> Array:
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    return cv2.magnitude(across, down).astype(np.float32, copy=False)
