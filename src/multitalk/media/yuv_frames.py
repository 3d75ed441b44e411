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


def yuv_frame(pixels: NDArray[np.uint8]) -> VideoFrame:
    """A picture, RGB uint8 [H, W, 3] with even sides, as a frame without a time.

    By OpenCV: within a level of libswscale's frame, in a quarter of its time.
    """
    height, width = pixels.shape[:2]
    frame = VideoFrame(width, height, "yuv420p")
    frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
    whole = cv2.transform(pixels, TO_YCBCR)
    cv2.extractChannel(whole, 0, dst=plane_of(frame, 0))
    for number in (1, 2):
        plane = plane_of(frame, number)
        chroma = cv2.extractChannel(whole, number)
        cv2.resize(chroma, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_AREA)
    return frame


def plane_of(frame: VideoFrame, number: int) -> NDArray[np.uint8]:
    """A plane of a frame, uint8 [H, W], in the frame's own memory."""
    plane = frame.planes[number]
    pixels: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8)
    return pixels.reshape(-1, plane.line_size)[: plane.height, : plane.width]
