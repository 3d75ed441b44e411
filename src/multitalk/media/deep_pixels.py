"""Pictures of more than 8 bits with all their bits. Pillow keeps 8 of those that have colour."""

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)


def deep_pixels(data: bytes, *, width: int, height: int) -> NDArray[np.uint16] | None:
    """Decode a PNG, a TIFF or an AVIF whose numbers have more than 8 bits.

    Args:
        data: The whole file, of which Pillow knows that it can be decoded.
        width: What Pillow says of it.
        height: The same.

    Returns:
        RGB [H, W, 3] or grey [H, W] as it is stored: not turned, without alpha, and 10 bits are
        0 to 1023. None where OpenCV cannot decode this.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        _log.info("not decoded with all its bits: %s", error)
        return None
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[:2] != (height, width):
        return None
    return np.asarray(pixels if pixels.ndim == 2 else pixels[..., 2::-1], np.uint16)
