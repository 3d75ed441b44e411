"""The mouth that an open photograph shows, and its own teeth, cut out to be used again."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.interpolation import spline_through
from multitalk.engines.warp.mouth_parts import LUMA, blurred
from multitalk.face import mesh

ROOM = 0.13  # mouth widths by which teeth go on above the lip's edge
# A row of teeth is used if it is this wide and this high, in mouth widths; else teeth are drawn.
ROW_WIDTH, ROW_HEIGHT = 0.45, 0.035
UNEVEN = 0.035  # mouth widths by which a row's edge may be off one even bend
UNDER_LIP = 0.05  # mouth widths below the upper lip within which its teeth begin


@dataclass(frozen=True)
class OwnMouth:
    """The photograph's own mouth, cut out and extended upwards under the lip.

    Attributes:
        pixels: float32 [h, w, 3].
        cover: What of it is mouth at all, [h, w], 0..1.
        teeth: What of it is the row of upper teeth, [h, w], 0..1; None where it shows too little.
        corner: Picture place (x, y) of the cut-out's first pixel.
    """

    pixels: Array
    cover: Array
    teeth: Array | None
    corner: NDArray[np.int_]


def cut_own_mouth(
    picture: NDArray[np.uint8], points: NDArray[np.float64], width: float, skin_luma: float
) -> OwnMouth:
    """Cut the mouth out of a photograph that shows it open.

    Args:
        picture: RGB uint8 [H, W, 3].
        points: Landmarks, [478, 3] pixels.
        width: Of the mouth, pixels.
        skin_luma: Of the lit skin around it, 0..255: teeth are told by it.
    """
    upper = spline_through(points[list(mesh.LIPS_INNER_UPPER), :2], steps=5)
    lower = spline_through(points[list(mesh.LIPS_INNER_LOWER), :2], steps=5)
    outline = np.concatenate([upper, lower[::-1]])
    limit = np.array(picture.shape[1::-1])
    low = np.maximum(np.floor(outline.min(0) - 3).astype(int), 0)
    high = np.minimum(np.ceil(outline.max(0) + 4).astype(int), limit)
    mask = np.zeros((high - low)[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round((outline - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    margin = max(1, int(width * 0.015))
    mask = cv2.erode(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    pixels = picture[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    # Teeth go on above the lip's edge, a little darker upwards.
    room = int(max(3, width * ROOM))
    mask = np.pad(mask, ((room, 0), (0, 0)))
    pixels = np.pad(pixels, ((room, 0), (0, 0), (0, 0)), mode="edge")
    seen = mask > 127
    teeth = _row_of_teeth(pixels, seen, width, skin_luma)
    cover = np.where(seen, 1.0, 0.0).astype(np.float32)
    for column in np.flatnonzero(seen.any(0)):
        top = int(seen[:, column].argmax())
        start = max(0, top - room)
        # Not the topmost rows: they lie in the shadow of the lip.
        shown = int(seen[:, column].sum())
        lit = slice(top + shown // 5, top + shown // 5 + max(2, shown // 3))
        tone = pixels[lit, column].mean(0)
        pixels[start : top + 1, column] = tone * np.linspace(0.85, 1, top + 1 - start)[:, None]
        cover[start : top + 1, column] = 1
    smooth = blurred(pixels, max(0.8, width * 0.012))
    extended = (cover > 0) & ~seen
    pixels[extended] = smooth[extended]
    cover = blurred(cover, max(0.8, width * 0.012))
    return OwnMouth(pixels, cover, teeth, low - (0, room))


def _row_of_teeth(
    pixels: Array, seen: NDArray[np.bool_], width: float, skin_luma: float
) -> Array | None:
    """Cover of the upper row, 0..1 [h, w]: all above one smooth biting edge, without specks.

    A tooth is bright against the skin and hardly coloured. Looked at pixel by pixel that leaves
    holes and crumbs; looked at column by column it gives the row's lower edge.
    """
    luma = pixels @ LUMA
    strongest = pixels.max(2)
    saturation = (strongest - pixels.min(2)) / (strongest + 1)
    tooth = seen & (luma > 0.48 * skin_luma) & (saturation < 0.40)
    rows = np.arange(len(tooth))[:, None]
    height = tooth.sum(0)
    columns = np.flatnonzero(height >= max(2.0, 0.02 * width))
    if len(columns) < ROW_WIDTH * width or height[columns].mean() < ROW_HEIGHT * width:
        return None
    first = tooth.argmax(0)
    # Teeth that hang from nothing are the lower ones, or a tongue.
    if np.median((first - seen.argmax(0))[columns]) > UNDER_LIP * width:
        return None
    # The upper row ends where a dark line follows it; below that are the lower teeth.
    line = max(1, round(0.025 * width))
    below = cv2.morphologyEx(
        tooth.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((line, 1), np.uint8)
    ).astype(bool)
    ended = ~below & (rows > first)
    last = np.where(ended.any(0), ended.argmax(0), len(tooth)) - 1.0
    everywhere = np.arange(tooth.shape[1])
    edge = np.interp(everywhere, columns, last[columns]).astype(np.float32)
    window = 2 * max(1, round(0.03 * width)) + 1
    padded = np.pad(edge, window // 2, mode="edge")
    edge = np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
    edge = blurred(edge[None].astype(np.float32), max(0.8, 0.02 * width))[0]
    bent = np.polynomial.Polynomial.fit(columns, edge[columns], 2)
    if np.percentile(np.abs(bent(columns) - edge[columns]), 90) > UNEVEN * width:
        return None  # here and there the lower teeth or the tongue were taken for them
    soft = max(1.0, 0.02 * width)
    left, right = np.percentile(columns, (1, 99))
    ends = np.clip(np.minimum(everywhere - left, right - everywhere) / (2 * soft) + 0.5, 0, 1)
    return (np.clip((edge - rows) / soft + 1, 0, 1) * ends).astype(np.float32)
