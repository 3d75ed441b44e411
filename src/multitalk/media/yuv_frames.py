"""Pictures as the frames that are encoded: yuv420p, BT.709, limited range."""

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

# From R, G, B and 1 to Y, Cb and Cr in 8 bits (ITU-R BT.709-6, items 3.2 to 3.4).
RED, BLUE = 0.2126, 0.0722
GREEN = 1 - RED - BLUE
LUMA_STEPS, CHROMA_STEPS, LUMA_ZERO, CHROMA_ZERO = 219 / 255, 224 / 255, 16, 128
LUMA = np.array([RED, GREEN, BLUE])
TO_YCBCR = np.array(
    [
        [*LUMA_STEPS * LUMA, LUMA_ZERO],
        [*CHROMA_STEPS * (np.array([0, 0, 1]) - LUMA) / (2 * (1 - BLUE)), CHROMA_ZERO],
        [*CHROMA_STEPS * (np.array([1, 0, 0]) - LUMA) / (2 * (1 - RED)), CHROMA_ZERO],
    ],
    np.float32,
)

STRIP_ROWS = 120  # converted at once, even: these stay in the processor's cache


def yuv_frame(pixels: NDArray[np.uint8]) -> VideoFrame:
    """A picture, RGB uint8 [H, W, 3] with even sides, as a frame without a time.

    By OpenCV: within a level of libswscale's frame, in a third of its time.
    """
    height, width = pixels.shape[:2]
    frame = VideoFrame(width, height, "yuv420p")
    frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
    luma, *chroma = (plane_of(frame, number) for number in range(3))
    # New memory for each strip would cost more than to fill it.
    colours = np.empty((STRIP_ROWS, width, 3), np.uint8)
    room = np.empty((2, STRIP_ROWS, width), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        rows = min(STRIP_ROWS, height - top)
        strip = cv2.transform(pixels[top : top + rows], TO_YCBCR, dst=colours[:rows])
        _, *planes = cv2.split(strip, (luma[top : top + rows], *room[:, :rows]))
        for plane, full in zip(chroma, planes, strict=True):
            part = plane[top // 2 : (top + rows) // 2]
            cv2.resize(full, part.shape[::-1], dst=part, interpolation=cv2.INTER_AREA)
    return frame


def plane_of(frame: VideoFrame, number: int) -> NDArray[np.uint8]:
    """A plane of a frame, uint8 [H, W], in the frame's own memory."""
    plane = frame.planes[number]
    pixels: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8)
    return pixels.reshape(-1, plane.line_size)[: plane.height, : plane.width]
