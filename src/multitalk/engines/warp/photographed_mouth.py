"""The mouth's inside as the photograph shows it: its own upper teeth, and their colour.

A row of teeth is found by brightness and colour, column by column. Limits are set by eye against
photographs of open mouths.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.smoothing import gaussian_blur, spline_through
from multitalk.face import mesh

HIDDEN_PART = 0.13  # mouth widths by which teeth are continued above the lip's edge
HIDDEN_LIGHT = 0.85  # brightness of their top
HIDDEN_SMOOTH = 0.04  # mouth widths over which the tone of neighbouring columns is blended
# A row of teeth is used if it is this wide and this high, in mouth widths; else teeth are drawn,
# of which a mere strip under the lip says too little.
ROW_WIDTH, ROW_HEIGHT = 0.45, 0.095
UNEVEN = 0.035  # mouth widths by which a row's edge may deviate from a parabola
UNDER_LIP = 0.05  # mouth widths below the upper lip within which its teeth begin
TOOTH_LUMA, TOOTH_SATURATION = 0.48, 0.40  # at least of the skin's luma, at most
# Pixels that tell the colour of teeth: at least so bright and at most so red as the skin, the area
# of theirs that is enough (square mouth widths), the percentile, and the light that reaches it.
ENAMEL_LUMA, ENAMEL_REDNESS, ENAMEL_AREA, ENAMEL_PERCENTILE = 0.75, 0.5, 0.004, 70
ENAMEL_LIGHT = 0.97
MIN_TOOTH = 0.02  # mouth widths: height of a column that counts
# Between upper and lower teeth: height of a thin dark line (mouth widths), and by how much of the
# skin's luma it is darker than what is above and below it.
DARK_LINE, LINE_DEPTH = 0.05, 0.14
EDGE_MEDIAN, EDGE_SOFTNESS = 0.03, 0.02  # mouth widths: filters of the biting edge
CUT_MARGIN, CUT_SOFTNESS = 0.015, 0.012  # mouth widths inside the lips; blur of the cut-out
OPAQUE = 127  # of 255
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class PhotographedMouth:
    """The photograph's open mouth, cut out and continued upwards under the lip.

    Attributes:
        pixels: float32 [h, w, 3].
        cover: Of the mouth, [h, w], 0..1.
        teeth: Cover of the upper row of teeth, [h, w], 0..1; None where too little is visible.
        corner: Picture position (x, y) of the first pixel.
        enamel: Colour of well lit teeth, RGB 0..255; None where too little is visible.
    """

    pixels: Array
    cover: Array
    teeth: Array | None
    corner: NDArray[np.int_]
    enamel: Array | None


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
    skin_luma = float(skin @ LUMA)
    upper = spline_through(points[list(mesh.LIPS_INNER_UPPER), :2], steps=5)
    lower = spline_through(points[list(mesh.LIPS_INNER_LOWER), :2], steps=5)
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
    room = int(max(3, width * HIDDEN_PART))
    visible = np.pad(mask, ((room, 0), (0, 0))) > OPAQUE
    pixels = np.pad(pixels, ((room, 0), (0, 0), (0, 0)), mode="edge")
    tooth = _tooth_pixels(pixels, visible, width, skin_luma)
    enamel = _enamel(pixels[tooth], width, skin)
    teeth = _upper_row(tooth, visible, width)
    cover = _continue_upwards(pixels, visible, room, width)
    softness = max(0.8, width * CUT_SOFTNESS)
    smooth = gaussian_blur(pixels, softness)
    continued = (cover > 0) & ~visible
    pixels[continued] = smooth[continued]
    cover = gaussian_blur(cover, softness)
    return PhotographedMouth(pixels, cover, teeth, low - (0, room), enamel)


def _continue_upwards(pixels: Array, visible: NDArray[np.bool_], room: int, width: float) -> Array:
    """Continue each column above the lip's edge, in place; the cover of the result, [h, w]."""
    cover = np.where(visible, 1.0, 0.0).astype(np.float32)
    columns = np.flatnonzero(visible.any(0))
    if len(columns) == 0:
        return cover
    tops = visible.argmax(0)[columns]
    tones = np.empty((1, len(columns), 3), np.float32)
    for place, (column, top) in enumerate(zip(columns, tops, strict=True)):
        # The topmost fifth is in the shadow of the lip: the tone is that of the next third.
        shown = int(visible[:, column].sum())
        lit = slice(top + shown // 5, top + shown // 5 + max(2, shown // 3))
        tones[0, place] = pixels[lit, column].mean(0)
    tones = gaussian_blur(tones, max(0.8, HIDDEN_SMOOTH * width))
    for column, top, tone in zip(columns, tops, tones[0], strict=True):
        start = max(0, top - room)
        fade = np.linspace(HIDDEN_LIGHT, 1, top + 1 - start)
        pixels[start : top + 1, column] = tone * fade[:, None]
        cover[start : top + 1, column] = 1
    return cover


def _enamel(teeth: Array, width: float, skin: Array) -> Array | None:
    """The colour of well lit teeth among pixels [N, 3]; None where too few are no lip or tongue."""
    bright = teeth @ LUMA > ENAMEL_LUMA * float(skin @ LUMA)
    chosen = teeth[bright & (_redness(teeth) <= ENAMEL_REDNESS * _redness(skin))]
    if len(chosen) < ENAMEL_AREA * width**2:
        return None
    colour = np.percentile(chosen, ENAMEL_PERCENTILE, axis=0) / ENAMEL_LIGHT
    return np.minimum(colour, 255).astype(np.float32)


def _redness(colour: Array) -> Array:
    """(R - G) / (R + G + B) of colours [..., 3]."""
    return (colour[..., 0] - colour[..., 1]) / np.maximum(colour.sum(-1), 1)


def _tooth_pixels(
    pixels: Array, visible: NDArray[np.bool_], width: float, skin_luma: float
) -> NDArray[np.bool_]:
    """Where teeth are seen, [h, w]: bright against the skin, hardly coloured, not between rows."""
    strongest = pixels.max(2)
    saturation = (strongest - pixels.min(2)) / (strongest + 1)
    luma = pixels @ LUMA
    line = np.ones((max(3, round(DARK_LINE * width)), 1), np.uint8)
    between = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, line) > LINE_DEPTH * skin_luma
    bright = luma > TOOTH_LUMA * skin_luma
    seen: NDArray[np.bool_] = visible & bright & (saturation < TOOTH_SATURATION) & ~between
    return seen


def _upper_row(tooth: NDArray[np.bool_], visible: NDArray[np.bool_], width: float) -> Array | None:
    """Cover of the upper row of teeth, 0..1 [h, w]: all above one smooth biting edge.

    Tooth pixels alone leave holes and specks; per column they give the row's lower edge. None where
    the row is too small, too high for one row, or uneven.
    """
    rows = np.arange(len(tooth))[:, None]
    height = tooth.sum(0)
    columns = np.flatnonzero(height >= max(2.0, MIN_TOOTH * width))
    if len(columns) < ROW_WIDTH * width:
        return None
    first = tooth.argmax(0)
    # What begins far below the upper lip is the lower row or the tongue.
    if np.median((first - visible.argmax(0))[columns]) > UNDER_LIP * width:
        return None
    # The upper row ends at a dark line; below it is the lower row.
    ended = ~tooth & (rows > first)
    last = np.where(ended.any(0), ended.argmax(0), len(tooth)) - 1.0
    if (last - first + 1)[columns].mean() < ROW_HEIGHT * width:
        return None
    everywhere = np.arange(tooth.shape[1])
    edge = _smooth_edge(np.interp(everywhere, columns, last[columns]).astype(np.float32), width)
    parabola = np.polynomial.Polynomial.fit(columns, edge[columns], 2)
    if np.percentile(np.abs(parabola(columns) - edge[columns]), 90) > UNEVEN * width:
        return None  # in places the lower row or the tongue was taken for it
    soft = max(1.0, EDGE_SOFTNESS * width)
    left, right = np.percentile(columns, (1, 99))
    ends = np.clip(np.minimum(everywhere - left, right - everywhere) / (2 * soft) + 0.5, 0, 1)
    return (np.clip((edge - rows) / soft + 1, 0, 1) * ends).astype(np.float32)


def _smooth_edge(edge: Array, width: float) -> Array:
    """Running median, then a Gaussian: [w]."""
    window = 2 * max(1, round(EDGE_MEDIAN * width)) + 1
    padded = np.pad(edge, window // 2, mode="edge")
    median = np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
    return gaussian_blur(median[None].astype(np.float32), max(0.8, EDGE_SOFTNESS * width))[0]
