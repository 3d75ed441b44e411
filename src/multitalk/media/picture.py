"""A decoded picture, and how places in it follow from places in its file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.messages import Notice

Portrait = NDArray[np.uint8]  # RGB [H, W, 3]


@dataclass(frozen=True)
class Picture:
    """What was decoded of a picture file.

    A caller knows the picture as its file has it, set upright: boxes of a request are in those
    pixels, and so are boxes that are answered.

    Attributes:
        pixels: Upright, opaque sRGB: uint8 [H, W, 3], contiguous, and may be changed.
        file_width: Width of the upright picture in the file, in pixels.
        file_height: Its height.
        notices: What the caller should know about how it was decoded.
    """

    pixels: Portrait
    file_width: int
    file_height: int
    notices: tuple[Notice, ...] = ()

    @classmethod
    def whole(cls, pixels: Portrait) -> "Picture":
        """A picture that is as its file has it."""
        return cls(pixels, file_width=pixels.shape[1], file_height=pixels.shape[0])

    def from_file(self, box: Box) -> Box:
        """A box in pixels of the file, in `pixels`."""
        across, down = self._scale()
        return box[0] / across, box[1] / down, box[2] / across, box[3] / down

    def to_file(self, box: Box) -> Box:
        """A box in `pixels`, in pixels of the file."""
        across, down = self._scale()
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down

    def _scale(self) -> tuple[float, float]:
        """Pixels of the file for one of `pixels`, across and down."""
        height, width = self.pixels.shape[:2]
        return self.file_width / width, self.file_height / height
