"""Frames of any video as sRGB.

What a frame says of its matrix and its range is FFmpeg's to follow. Here is what it leaves open:
the matrix of a frame that names none, wide primaries, and HDR. The curve of SDR video counts as
sRGB's, whatever its name: so players show it, and so this project writes its own videos.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from multitalk.media.colour_spaces import (
    BLOCK_PIXELS,
    HLG,
    PQ,
    SRGB,
    ColourSpace,
    space_of,
    to_srgb,
)

# libswscale's SWS_BILINEAR, SWS_FULL_CHR_H_INT and SWS_ACCURATE_RND, which older PyAV cannot name.
EXACT_COLORS = 0x2 | 0x2000 | 0x40000

# Of ITU-T H.273: primaries, and matrices.
BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 6, 9
HD_LINES = 720  # from here on, video without a name for its matrix is BT.709's
FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG

# How much red and blue there is in luma, by matrix (H.273, table 4).
_RED_AND_BLUE: Mapping[int, tuple[float, float]] = MappingProxyType(
    {
        1: (0.2126, 0.0722),  # BT.709
        4: (0.30, 0.11),  # FCC
        5: (0.299, 0.114),  # BT.470 BG
        6: (0.299, 0.114),  # BT.601
        7: (0.212, 0.087),  # SMPTE 240M
        9: (0.2627, 0.0593),  # BT.2020
    }
)


def srgb_frame(frame: VideoFrame) -> NDArray[np.uint8]:
    """Convert a frame.

    Returns:
        RGB uint8 [H, W, 3], as it is stored.
    """
    matrix = _matrix(frame)
    space = _space(frame)
    if space is not None:
        return to_srgb(_deep_rgb(frame, matrix), space, bits=16)
    if matrix == BT2020:
        return np.asarray(_deep_rgb(frame, matrix) // 257, np.uint8)
    return np.asarray(_as_array(frame, "rgb24", matrix), np.uint8)


def _matrix(frame: VideoFrame) -> int:
    """The matrix that made a frame's luma and chroma from RGB."""
    if frame.format.is_rgb or frame.colorspace != UNSPECIFIED:
        return frame.colorspace
    if frame.color_primaries == BT2020:
        return BT2020
    return BT709 if min(frame.width, frame.height) >= HD_LINES else BT601


def _space(frame: VideoFrame) -> ColourSpace | None:
    """The colour space of a frame's RGB; None for sRGB."""
    transfer = frame.color_trc if frame.color_trc in (PQ, HLG) else SRGB[1]
    return space_of(frame.color_primaries, transfer)


def _as_array(frame: VideoFrame, name: str, matrix: int) -> NDArray[np.unsignedinteger]:
    source = None if matrix == frame.colorspace else matrix
    pixels: NDArray[np.unsignedinteger] = frame.to_ndarray(  # type: ignore[assignment]
        format=name, src_colorspace=source, interpolation=EXACT_COLORS
    )
    return pixels


def _deep_rgb(frame: VideoFrame, matrix: int) -> NDArray[np.unsignedinteger]:
    """A frame's RGB in 16 bits [H, W, 3].

    FFmpeg makes the chroma as large as the luma. The matrix is applied here: PyAV 17 knows none of
    BT.2020's, and libswscale spoils 16-bit RGB where it is to be exact.
    """
    is_yuv = not frame.format.is_rgb and not frame.format.name.startswith(("gray", "yuvj"))
    if not is_yuv or matrix not in _RED_AND_BLUE:
        return _as_array(frame, "gbrp16le", matrix)
    yuv = _as_array(frame, "yuv444p16le", frame.colorspace)
    bits = frame.format.components[0].bits
    rgb = np.empty_like(yuv)
    rows = max(BLOCK_PIXELS // frame.width, 1)
    for top in range(0, frame.height, rows):
        values = _unit_range(yuv[top : top + rows], bits, frame.color_range == FULL_RANGE)
        rgb[top : top + rows] = _mixed(values, *_RED_AND_BLUE[matrix])
    return rgb


def _unit_range(yuv: NDArray[np.unsignedinteger], bits: int, is_full: bool) -> NDArray[np.floating]:
    """Luma from 0 to 1 and chroma from -0.5 to 0.5; `yuv` has its bits at the top of 16."""
    middle, peak = 1 << 15, (2**bits - 1) << (16 - bits)
    if is_full:
        return (yuv.astype(np.float32) - (0, middle, middle)) / np.float32(peak)
    scales = np.array([219, 224, 224], np.float32) * 256
    return (yuv.astype(np.float32) - (16 << 8, middle, middle)) / scales


def _mixed(values: NDArray[np.floating], red: float, blue: float) -> NDArray[np.uint16]:
    """Luma and chroma as RGB in 16 bits (H.273, equations 41 to 43)."""
    luma, from_blue, from_red = (values[..., channel] for channel in range(3))
    r = luma + 2 * (1 - red) * from_red
    b = luma + 2 * (1 - blue) * from_blue
    g = (luma - red * r - blue * b) / (1 - red - blue)
    rgb = np.clip(np.stack([r, g, b], axis=-1), 0, 1)
    return np.asarray(np.round(rgb * 65535), np.uint16)
