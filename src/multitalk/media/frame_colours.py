"""Frames of any video as sRGB.

What a frame says of its matrix and its range is FFmpeg's to follow. Here is what it leaves open:
the matrix of a frame that names none, wide primaries, and HDR. The curve of SDR video counts as
sRGB's, whatever its name: so players show it, and so this project writes its own videos.
"""

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from multitalk.media.code_points import HLG, PQ, SRGB, space_of
from multitalk.media.colour import ColourSpace, to_srgb

# libswscale's SWS_BILINEAR, SWS_FULL_CHR_H_INT and SWS_ACCURATE_RND, which older PyAV cannot name.
EXACT_COLORS = 0x2 | 0x2000 | 0x40000

# Of ITU-T H.273: primaries, and matrices.
BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 6, 9
# Sixteen bits, planar: of the packed ones (rgb48le) libswscale spoils the chroma with these flags.
DEEP_FORMAT = "gbrp16le"
HD_LINES = 720  # from here on, video without a name for its matrix is BT.709's


def srgb_frame(frame: VideoFrame) -> NDArray[np.uint8]:
    """Convert a frame.

    Returns:
        RGB uint8 [H, W, 3], as it is stored.
    """
    matrix = _matrix(frame)
    space = _space(frame)
    if space is None:
        return _as_array(frame, "rgb24", matrix)
    return to_srgb(_as_array(frame, DEEP_FORMAT, matrix), space, bits=16)


def _as_array(frame: VideoFrame, name: str, matrix: int | None) -> NDArray[np.unsignedinteger]:
    pixels: NDArray[np.unsignedinteger] = frame.to_ndarray(  # type: ignore[assignment]
        format=name, src_colorspace=matrix, interpolation=EXACT_COLORS
    )
    return pixels


def _matrix(frame: VideoFrame) -> int | None:
    """How a frame's luma and chroma were made from RGB; None where the frame says it."""
    if frame.format.is_rgb or frame.colorspace != UNSPECIFIED:
        return None
    if frame.color_primaries == BT2020:
        return BT2020
    return BT709 if min(frame.width, frame.height) >= HD_LINES else BT601


def _space(frame: VideoFrame) -> ColourSpace | None:
    """What a frame's RGB means; None where that is sRGB."""
    transfer = frame.color_trc if frame.color_trc in (PQ, HLG) else SRGB[1]
    return space_of(frame.color_primaries, transfer)
