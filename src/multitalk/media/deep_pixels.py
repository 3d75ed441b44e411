"""Pictures of more than 8 bits with all their bits. Pillow keeps 8 of those that have colour."""

import logging
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# FFmpeg's formats of a PNG's 16 bits: how many numbers a pixel has, the last of them opacity or not
_PNG_NUMBERS = {"gray16be": 1, "ya16be": 2, "rgb48be": 3, "rgba64be": 4}


def deep_pixels(data: bytes, *, width: int, height: int) -> NDArray[np.unsignedinteger] | None:
    """Decode a PNG, a TIFF or an AVIF whose numbers have more than 8 bits.

    Args:
        data: The whole file, of which Pillow knows that it can be decoded.
        width: What Pillow says of it.
        height: The same.

    Returns:
        RGB [H, W, 3] or grey [H, W] in 16 bits as it is stored: not turned, without alpha, and 10
        bits are 0 to 1023. Not to be changed. None where this cannot be decoded.
    """
    decode = _png if data.startswith(_PNG_SIGNATURE) else _other
    try:
        pixels = decode(data)
    except (cv2.error, av.FFmpegError) as error:
        _log.info("not decoded with all its bits: %s", error)
        return None
    if pixels is None or pixels.shape[:2] != (height, width):
        return None
    return pixels


def _png(data: bytes) -> NDArray[np.unsignedinteger] | None:
    """A PNG's pixels where FFmpeg has put them; OpenCV would take twice the memory."""
    context = av.CodecContext.create("png", "r")
    for frame in [*context.decode(av.Packet(data)), *context.decode(None)]:
        numbers = _PNG_NUMBERS.get(frame.format.name)
        if numbers is None:
            return None
        (plane,) = frame.planes
        stored: NDArray[np.uint16] = np.frombuffer(cast(memoryview, plane), ">u2")
        rows = stored.reshape(frame.height, plane.line_size // 2)[:, : frame.width * numbers]
        pixels = rows.reshape(frame.height, frame.width, numbers)
        return pixels[..., 0] if numbers < 3 else pixels[..., :3]
    return None


def _other(data: bytes) -> NDArray[np.unsignedinteger] | None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    return np.asarray(pixels if pixels.ndim == 2 else pixels[..., 2::-1], np.uint16)
