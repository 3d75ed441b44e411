"""A short text in the top left corner of every frame: the disclosure that viewers can see.

The text is white on a dark, translucent plate, so that it is readable on light and dark grounds.
It is drawn once and blended into the planes of each frame. The font is the one that Pillow carries
(Aileron), which has letters and signs of ASCII only.
"""

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from multitalk.array_types import Array
from multitalk.media.yuv_frames import plane_of

HEIGHT = 0.045  # of the text, as a share of a frame's shorter side
MIN_PIXELS = 14  # of the font, where the frame has room for it
SMALLEST_PIXELS = 6
MAX_WIDTH, MAX_HEIGHT = 0.9, 0.5  # of the label, as shares of the frame
PADDING = 0.4  # around the text, as a share of the font's size
PLATE = 0.65  # how opaque the plate is
BLACK, WHITE, NEUTRAL = 16.0, 235.0, 128.0  # of luma and of chroma, ITU-R BT.709, limited range


class CornerLabel:
    """Draws one text into frames of one size.

    Args:
        text: Printable ASCII.
        width: Of the frames, even.
        height: Of the frames, even.
    """

    def __init__(self, text: str, *, width: int, height: int) -> None:
        coverage = _coverage(text, width, height)
        self._keep = (1.0 - PLATE) * (1.0 - coverage)
        self._add = PLATE * BLACK * (1.0 - coverage) + WHITE * coverage
        rows, columns = (side // 2 for side in coverage.shape)
        self._chroma_keep: Array = self._keep.reshape(rows, 2, columns, 2).mean((1, 3))
        self._chroma_add = NEUTRAL * (1.0 - self._chroma_keep)
        self._left = self._top = 2 * round(0.2 * MIN_PIXELS)
        self._left = min(self._left, (width - coverage.shape[1]) // 2 // 2 * 2)
        self._top = min(self._top, (height - coverage.shape[0]) // 2 // 2 * 2)

    def apply(self, frame: VideoFrame) -> None:
        """Draw into a frame of yuv420p, in its own memory."""
        _blend(plane_of(frame, 0), self._keep, self._add, self._left, self._top)
        for chroma in (1, 2):
            left, top = self._left // 2, self._top // 2
            _blend(plane_of(frame, chroma), self._chroma_keep, self._chroma_add, left, top)


def _blend(pixels: NDArray[np.uint8], keep: Array, add: Array, left: int, top: int) -> None:
    part = pixels[top : top + keep.shape[0], left : left + keep.shape[1]]
    part[:] = np.rint(part * keep + add)


def _coverage(text: str, width: int, height: int) -> Array:
    """Text coverage of each pixel of the label, float32 [h, w] in [0, 1], of even size."""
    size = max(MIN_PIXELS, round(HEIGHT * min(width, height)))
    while True:
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text)
        padding = round(PADDING * size)
        across = 2 * (round(right - left + 2 * padding + 1) // 2)
        down = 2 * ((size + padding + 1) // 2)
        fits = across <= MAX_WIDTH * width and down <= MAX_HEIGHT * height
        if fits or size <= SMALLEST_PIXELS:
            break
        size -= 1
    across, down = min(across, width // 2 * 2), min(down, height // 2 * 2)
    image = Image.new("L", (across, down))
    place = ((across - (right - left)) / 2 - left, (down - (bottom - top)) / 2 - top)
    ImageDraw.Draw(image).text(place, text, fill=255, font=font)
    return np.asarray(image, np.float32) / np.float32(255.0)
