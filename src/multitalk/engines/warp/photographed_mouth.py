"""The mouth's inside as the photograph shows it: cut out, and the colour of its teeth.

The cut-out is what is seen between lips that rest as photographed. A speaking mouth has drawn teeth
in the photographed ones' colour: the photograph shows a part of one row, and never what the lips
hide of it. Limits are set by eye against photographs of open mouths.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.smoothing import gaussian_blur, spline_through
from multitalk.face import mesh

LIP_CURVE_STEPS = 5  # samples between two landmarks of the inner lips
CUT_MARGIN, CUT_SOFTNESS = 0.015, 0.012  # mouth widths inside the lips; blur of the cut-out
# Teeth are at least so bright and at most so red as the skin, and at most so saturated.
TOOTH_LUMA, TOOTH_REDNESS, TOOTH_SATURATION = 0.75, 0.5, 0.40
# The area of teeth that tells their colour (square mouth widths), the percentile of each channel,
# and the light that reaches it.
ENOUGH_AREA, ENAMEL_PERCENTILE, ENAMEL_LIGHT = 0.004, 70, 0.97
# Where upper teeth end: landmarks of the inner lips between which it is looked for, places between
# the lips, luma and redness of teeth in the lip's shade as shares of the skin's, share of the gap
# by which landmarks are off the lip, and from which pale pixels are both rows of teeth.
MIDDLE_OF_LIPS, DEPTHS, SHADED_LUMA, SHADED_REDNESS = (3, 8), 24, 0.5, 1.15
LIP_OFF, BOTH_ROWS = 0.3, 0.65
OPAQUE = 127  # of 255
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class PhotographedMouth:
    """The photograph's open mouth.

    Attributes:
        pixels: float32 [h, w, 3].
        cover: Of the mouth, [h, w], 0..1.
        corner: Picture position (x, y) of the first pixel.
        enamel: Colour of well lit teeth, RGB 0..255; None where too little is visible.
        upper_teeth: Share of the lip gap, from the upper lip on, over which upper teeth are seen; 0
            where the lip hides them; None where that cannot be told.
    """

    pixels: Array
    cover: Array
    corner: NDArray[np.int_]
    enamel: Array | None
    upper_teeth: float | None


def extract_mouth(
    picture: NDArray[np.uint8], points: NDArray[np.float64], width: float, skin: Array
) -> PhotographedMouth:
    """Cut the mouth out of a photograph that shows it open.

    Args:
        picture: RGB uint8 [H, W, 3].
        points: Landmarks, [478, 3] pixels.
        width: Of the mouth, pixels.
        skin: Of the lit skin around it, RGB 0..255: the reference of teeth.
    """
    upper, lower = (
        spline_through(points[list(lip), :2], steps=LIP_CURVE_STEPS)
        for lip in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER)
    )
    outline = np.concatenate([upper, lower[::-1]])
    limit = np.array(picture.shape[1::-1])
    low = np.maximum(np.floor(outline.min(0) - 3).astype(int), 0)
    high = np.minimum(np.ceil(outline.max(0) + 4).astype(int), limit)
    mask = np.zeros((high - low)[::-1], np.uint8)
    fixed = np.round((outline - low) * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    margin = max(1, int(width * CUT_MARGIN))
    mask = cv2.erode(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    pixels = picture[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    visible = mask > OPAQUE
    cover = gaussian_blur(visible.astype(np.float32), max(0.8, width * CUT_SOFTNESS))
    enamel = _enamel(pixels[visible], width, skin)
    return PhotographedMouth(pixels, cover, low, enamel, _upper_teeth(picture, points, skin))


def _upper_teeth(
    picture: NDArray[np.uint8], points: NDArray[np.float64], skin: Array
) -> float | None:
    """How far upper teeth are seen in the middle of the mouth, see `PhotographedMouth`."""
    middle = slice(*MIDDLE_OF_LIPS)
    upper, lower = (
        points[list(lip)[middle], :2] for lip in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER)
    )
    depth = (np.arange(DEPTHS) + 0.5)[:, None, None] / DEPTHS
    places = (upper + (lower - upper) * depth).astype(np.float32)
    seen = cv2.remap(picture, places, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    seen = seen.astype(np.float32)
    pale = (seen @ LUMA > SHADED_LUMA * float(skin @ LUMA)) & (
        _redness(seen) <= SHADED_REDNESS * _redness(skin)
    )
    rows = np.flatnonzero(pale.mean(1) > 0.5)
    if not len(rows) or rows[0] > LIP_OFF * DEPTHS:
        return 0.0
    ends = np.flatnonzero(np.diff(rows) > 1)
    end = float(rows[ends[0] if len(ends) else -1] + 1) / DEPTHS
    return end if end < BOTH_ROWS else None


def _enamel(inside: Array, width: float, skin: Array) -> Array | None:
    """The colour of well lit teeth among the pixels [N, 3] of a mouth; None where too few are."""
    strongest = inside.max(1, initial=0)
    saturation = (strongest - inside.min(1, initial=255)) / (strongest + 1)
    bright = inside @ LUMA > TOOTH_LUMA * float(skin @ LUMA)
    no_flesh = _redness(inside) <= TOOTH_REDNESS * _redness(skin)
    teeth = inside[bright & no_flesh & (saturation < TOOTH_SATURATION)]
    if len(teeth) < ENOUGH_AREA * width**2:
        return None
    colour = np.percentile(teeth, ENAMEL_PERCENTILE, axis=0) / ENAMEL_LIGHT
    return np.minimum(colour, 255).astype(np.float32)


def _redness(colour: Array) -> Array:
    """(R - G) / (R + G + B) of colours [..., 3]."""
    return (colour[..., 0] - colour[..., 1]) / np.maximum(colour.sum(-1), 1)
