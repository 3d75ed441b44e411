"""Edges of lips freed of what the photograph shows between them.

Landmarks are a few pixels off the edges of open lips. What they leave of teeth and cavity on a lip
would move with it, as a white or dark line. It is filled in with the lips' colour, but not with
that of the places beside it, whose hue is mixed with that of teeth, dark or skin. Corners of an
open mouth are blunt and dark; those that close are pointed and as light as the skin. Closed lips
have a dark line between them, which would outline both when they part. It fades as they do. Lips
that speak have the finer texture of filmed ones.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, three_channels
from multitalk.engines.warp.smoothing import (
    close_shadows,
    gaussian_blur,
    smoothstep,
    spline_through,
)
from multitalk.face import mesh

BAND = 0.06  # mouth widths beside the inner edges in which teeth and dark are searched on the lips
GROWN = 0.012  # mouth widths by which what is found is enlarged: its soft edge
# Teeth are less red than so much of the lips, and lighter.
PALE, LIGHT = 0.55, 0.95
DARK = 0.62  # of the lips' luma: darker is the mouth's inside
GREYISH = 0.05  # redness of lips in a picture without colour: teeth cannot be separated there
SOFT_EDGE = 0.025  # mouth widths around the opening that are neither lip nor mouth
# Shadows around an open mouth, mouth widths: reach around a corner, the widest dark wedge, its
# blur, and by how much it is enlarged: its soft edge. They are darker by shares of the lips' luma,
# in the corners and at the edges of the lips.
CORNER_REACH, SHADOW_WIDEST, SHADOW_BLUR, CORNER_GROWN = 0.18, 0.26, 0.02, 0.025
CORNER_DARK, EDGE_DARK = 0.09, 0.16
# What is filled takes its colour from the lips, and from the skin outside their outline, by blurs
# of these widths (mouth widths), the wider one where the narrow one finds nothing. Beside the
# opening colours are mixtures of both sides, as cameras and codecs blur hues: how far, and the
# weight of places there.
NEAR, WIDE, WIDE_WEIGHT = 0.05, 0.16, 0.01
MIXED, MIXED_WEIGHT = 0.05, 0.03
# Closed lips are pointed: of a wide open one's thickness what is left at a corner, the shares of
# the mouth's width over which that grows to all, and the lip gaps (mouth widths) over which lips
# become blunt; softness of their outline, mouth widths.
POINTED, POINTED_ENDS, BLUNT_GAPS, OUTLINE_SOFT = 0.18, (0.0, 0.22), (0.06, 0.20), 0.014
BACKGROUND = 1.5  # of the luma of the skin around the lips: what is lighter is background
FALLBACK_WEIGHT = 1e-4  # of the lips' red and the median skin, where nothing else is near
WIDE_STEP = 4  # of those pixels from one place of the wide blur to the next
FILL_STEP = 2  # pixels from one filled place to the next: the source is enlarged
FILL_SOFT, FILL_SOFT_SKIN = 0.013, 0.035  # mouth widths over which what is filled ends
# The line between closed lips, mouth widths: its reach beside the landmarks, the widest shadow that
# is a line, the blur of what replaces it; the lip gap from which it is gone, and states of fading.
LINE_REACH, LINE_WIDEST, LINE_BLUR, LINE_GONE, LINE_LEVELS = 0.045, 0.09, 0.012, 0.05, 16
LINE_STEPS = 5  # samples between two landmarks
# Mouth widths inside the opening that are filled, too: lips are drawn softly over their edges.
INSIDE = 0.04
# The lips' fine texture: what is finer than so many pixels of the picture is stronger by this
# share, by so many levels at most; mouth widths over which that ends around the lips.
FINE, FINER, MOST_FINER, FINE_ENDS = 1.6, 0.4, 14.0, 0.02
OPAQUE = 255
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates


def clean_lip_edges(
    source: NDArray[np.uint8], places: NDArray[np.float64], *, width: float, red: Array
) -> None:
    """Fill in the edges of open lips, in place.

    Args:
        source: RGB uint8 [H, W, 3].
        places: Landmarks in it, [478, 2] pixels.
        width: Of the mouth, its pixels.
        red: Colour of the lips, RGB 0..255.
    """
    inner = places[[*mesh.LIPS_INNER_UPPER, *mesh.LIPS_INNER_LOWER[::-1]]]
    outer = places[[*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER[::-1]]]
    between, lips = (_filled(outline, source.shape[:2]) for outline in (inner, outer))
    band = (cv2.dilate(between, _disc(BAND * width)) > 0) & (between == 0) & (lips > 0)
    light = source.astype(np.float32) @ LUMA
    shadow = _narrow_shadows(light, width) / max(float(red @ LUMA), 1.0)
    shaded = _dark(source, red) | (shadow > EDGE_DARK)
    found = (band & (_pale(source, red) | shaded)).astype(np.uint8)
    # What is found must begin at the opening, or it is the lip's own shine.
    _, parts = cv2.connectedComponents(np.maximum(found, between))
    found[~np.isin(parts, np.unique(parts[between > 0]))] = 0
    grown = np.where(band, cv2.dilate(found, _disc(GROWN * width)), 0)
    mask = np.maximum(grown, cv2.dilate(between, _disc(SOFT_EDGE * width))).astype(np.uint8)
    at_corner = np.zeros_like(mask)
    for corner in places[[mesh.RIGHT_INNER_CORNER, mesh.LEFT_INNER_CORNER]]:
        centre = np.round(corner).astype(int).tolist()
        cv2.circle(at_corner, centre, round(CORNER_REACH * width), 1, -1)
    wedge = at_corner & (shadow > CORNER_DARK)
    mask |= _dilated(wedge.astype(np.uint8), CORNER_GROWN * width)
    ends = places[[mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER]]
    gaps = np.linalg.norm(
        places[list(mesh.LIPS_INNER_LOWER)] - places[list(mesh.LIPS_INNER_UPPER)], axis=1
    )
    blunt = float(smoothstep(gaps.max(keepdims=True) / width, *BLUNT_GAPS)[0])
    pointed = _pointed(lips, between, ends, 1 - (1 - POINTED) * blunt)
    mask |= _dilated(lips - pointed, OUTLINE_SOFT * width)
    around = light[(mask | lips) == 0]
    background = (lips == 0) & (light > BACKGROUND * (np.median(around) if len(around) else 255))
    mask[background] = 0
    filled = _from_lips_and_skin(source, mask, (lips, pointed), red, width)
    on_lips, on_skin = (
        np.minimum(2 * gaussian_blur(mask.astype(np.float32), max(0.8, soft * width)), 1)
        for soft in (FILL_SOFT, FILL_SOFT_SKIN)
    )
    cover = np.where(lips > 0, on_lips, on_skin)  # all of what is masked
    cover[background | (cv2.erode(between, _disc(INSIDE * width)) > 0)] = 0
    changed = (filled - source.astype(np.float32)) * cover[..., None]
    source[:] = np.round(np.clip(source + changed, 0, 255)).astype(np.uint8)


def lip_texture(
    source: NDArray[np.generic], places: NDArray[np.float64], *, width: float, scale: float
) -> Array:
    """What speaking lips have more of their fine texture, float32 [H, W, 3].

    Args:
        source: RGB 0..255, [H, W, 3].
        places: Landmarks in it, [478, 2] pixels.
        width: Of the mouth, its pixels.
        scale: Its pixels per pixel of the picture.
    """
    outer = places[[*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER[::-1]]]
    inner = places[[*mesh.LIPS_INNER_UPPER, *mesh.LIPS_INNER_LOWER[::-1]]]
    around, between = (_filled(outline, source.shape[:2]) > 0 for outline in (outer, inner))
    lips = (around & ~between).astype(np.float32)
    on_lips = gaussian_blur(lips, max(0.8, FINE_ENDS * width))
    light = source.astype(np.float32) @ LUMA
    fine = FINER * (light - gaussian_blur(light, FINE * scale))
    return three_channels((np.clip(fine, -MOST_FINER, MOST_FINER) * on_lips).astype(np.float32))


class ClosedLips:
    """The photograph's closed lips, repainted in its enlarged source as they part.

    The dark line between them fades, and their texture becomes finer.
    """

    def __init__(
        self,
        source: NDArray[np.uint8],
        places: NDArray[np.float64],
        *,
        width: float,
        red: Array,
        scale: float,
    ) -> None:
        """Prepare to repaint.

        Args:
            source: uint8 [H, W, C], modified by `update`.
            places: Landmarks in it, [478, 2] pixels.
            width: Of the mouth, its pixels.
            red: Colour of the lips, RGB 0..255: no line is filled in lighter.
            scale: Pixels of the source per pixel of the picture.
        """
        self._level, self._gone = 0, LINE_GONE * width
        seam = (places[list(mesh.LIPS_INNER_UPPER)] + places[list(mesh.LIPS_INNER_LOWER)]) / 2
        reach = LINE_REACH * width
        margin = reach + LINE_WIDEST * width
        lips = places[[*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER]]
        low = np.maximum((lips.min(0) - margin).astype(int), 0)
        high = np.minimum((lips.max(0) + margin).astype(int) + 1, source.shape[1::-1])
        self._seen = bool((high - low >= 3).all())
        if not self._seen:
            return
        self._view = source[low[1] : high[1], low[0] : high[0]]
        self._base = self._view.copy()
        colours = self._base[..., :3].astype(np.float32)
        smooth = gaussian_blur(colours, max(0.8, LINE_BLUR * width / 2))
        filled = close_shadows(smooth, LINE_WIDEST * width, blur=LINE_BLUR * width)
        lighter = np.clip(np.minimum(filled, red) - smooth, 0, 255)
        share = _along_seam(seam - low, self._base.shape[:2], reach)
        finer = lip_texture(colours, places - low, width=width, scale=scale)
        parted = colours + lighter * share[..., None] + finer * (1 - share[..., None])
        self._parted = self._base.copy()
        self._parted[..., :3] = np.round(np.clip(parted, 0, 255))

    def update(self, gap: float) -> None:
        """Repaint lips that are parted by `gap`, pixels of the source."""
        level = round(LINE_LEVELS * min(gap / self._gone, 1.0))
        if level == self._level or not self._seen:
            return
        self._level = level
        share = level / LINE_LEVELS
        cv2.addWeighted(self._base, 1 - share, self._parted, share, 0, dst=self._view)


def _along_seam(seam: NDArray[np.float64], size: tuple[int, int], reach: float) -> Array:
    """1 on the line between lips, 0 from `reach` pixels and at its ends, where they stay closed."""
    away = np.ones(size, np.uint8)
    curve = spline_through(seam, steps=LINE_STEPS)
    cv2.polylines(away, [np.round(curve).astype(np.int32)], False, 0, 1)
    near = 1 - cv2.distanceTransform(away, cv2.DIST_L2, 5) / np.float32(reach)
    near = np.minimum(2 * np.clip(near, 0, 1), 1)
    along = seam[-1] - seam[0]
    x, y = np.meshgrid(np.arange(size[1]) - seam[0, 0], np.arange(size[0]) - seam[0, 1])
    share = (x * along[0] + y * along[1]) / float(along @ along)
    return (near * np.clip(4 * share * (1 - share), 0, 1)).astype(np.float32)


def _narrow_shadows(light: Array, width: float) -> Array:
    """By how much a closing, which fills what is dark and narrow, lightens a luma [h, w]."""
    smooth = gaussian_blur(light, max(0.8, SHADOW_BLUR * width / 2))
    closed = close_shadows(smooth, SHADOW_WIDEST * width, blur=max(0.8, SHADOW_BLUR * width))
    return closed - smooth


def _pointed(
    lips: NDArray[np.uint8], between: NDArray[np.uint8], ends: NDArray[np.float64], left: float
) -> NDArray[np.uint8]:
    """Lips [H, W] of which a share `left` is left at the corners `ends` [2, 2]."""
    from_inside = cv2.distanceTransform(1 - between, cv2.DIST_L2, 3)
    from_outside = cv2.distanceTransform(lips, cv2.DIST_L2, 3)
    depth = from_inside / np.maximum(from_inside + from_outside, 1e-6)
    along = (ends[1] - ends[0]) / max(float((ends[1] - ends[0]) @ (ends[1] - ends[0])), 1.0)
    x, y = np.meshgrid(np.arange(lips.shape[1]), np.arange(lips.shape[0]))
    share = (x - ends[0, 0]) * along[0] + (y - ends[0, 1]) * along[1]
    thick = left + (1 - left) * smoothstep(np.minimum(share, 1 - share), *POINTED_ENDS)
    return lips * (depth <= thick)


def _from_lips_and_skin(
    source: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    lips: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    red: Array,
    width: float,
) -> Array:
    """Colours that masked places would have without the opening, float32 [H, W, 3].

    Args:
        source: RGB uint8 [H, W, 3].
        mask: 1 where the source's colours are not to be used, [H, W].
        lips: 1 inside the lips' outline, and where to be filled with their colour, [H, W] each.
        red: Colour of the lips, RGB 0..255.
        width: Of the mouth, pixels of the source.
    """
    rows, columns = mask.shape
    size = (-(-columns // FILL_STEP), -(-rows // FILL_STEP))
    few, hidden, on_lips, filled_red = (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for image in (source, OPAQUE * mask, *(OPAQUE * one for one in lips))
    )
    unit = width / FILL_STEP
    away = cv2.distanceTransform((hidden == 0).astype(np.uint8), cv2.DIST_L2, 3)
    known = np.clip(away / (MIXED * unit), 0, 1) ** 2 * (1 - MIXED_WEIGHT) + MIXED_WEIGHT
    # The lips' outline is a mixture, too.
    inner = cv2.erode(on_lips, _disc(OUTLINE_SOFT * unit)) == OPAQUE
    known *= (inner & (hidden == 0)).astype(np.float32)
    skin = (hidden == 0) & (on_lips == 0)
    median = np.median(few[skin], axis=0) if skin.any() else red
    skin &= few @ LUMA < BACKGROUND * float(median @ LUMA)
    of_lips = _spread(few, known, unit, otherwise=red)
    of_skin = _spread(few, skin.astype(np.float32), unit, otherwise=median)
    share = gaussian_blur(filled_red / OPAQUE, max(0.8, OUTLINE_SOFT * unit))
    filled = of_skin + (of_lips - of_skin) * three_channels(share)
    whole = cv2.resize(filled, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)


def _spread(colours: Array, weight: Array, unit: float, *, otherwise: Array) -> Array:
    """Colours [h, w, 3] blurred over the places that have a weight [h, w] (normalized convolution).

    H. Knutsson, C.-F. Westin, "Normalized and differential convolution", CVPR 1993.
    """
    stacked = np.dstack([colours * weight[..., None], weight]).astype(np.float32)
    size, few = stacked.shape[1::-1], (-(-n // WIDE_STEP) for n in stacked.shape[1::-1])
    coarse = cv2.resize(stacked, tuple(few), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(
        gaussian_blur(np.asarray(coarse, np.float32), max(0.8, WIDE * unit / WIDE_STEP)), size
    )
    total = gaussian_blur(stacked, max(0.8, NEAR * unit)) + np.float32(WIDE_WEIGHT) * wide
    total += np.float32(FALLBACK_WEIGHT) * np.append(otherwise, 1).astype(np.float32)
    return np.asarray(total[..., :3] / total[..., 3:], np.float32)


def _pale(colours: NDArray[np.uint8], red: Array) -> NDArray[np.bool_]:
    """Where colours [h, w, 3] are those of teeth."""
    values = colours.astype(np.float32)
    redness = (values[..., 0] - values[..., 1]) / np.maximum(values.sum(-1), 1)
    of_lips = float(red[0] - red[1]) / max(float(red.sum()), 1.0)
    if of_lips < GREYISH:
        return np.zeros(colours.shape[:2], bool)
    pale: NDArray[np.bool_] = (redness < PALE * of_lips) & (values @ LUMA > LIGHT * (red @ LUMA))
    return pale


def _dark(colours: NDArray[np.uint8], red: Array) -> NDArray[np.bool_]:
    """Where colours [h, w, 3] are those of the mouth's inside."""
    dark: NDArray[np.bool_] = colours.astype(np.float32) @ LUMA < DARK * (red @ LUMA)
    return dark


def _filled(outline: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """1 inside an outline [N, 2], [h, w]."""
    inside = np.zeros(size, np.uint8)
    fixed = np.round(outline * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(inside, [fixed], 1, cv2.LINE_8, SUBPIXEL_BITS)
    return inside


def _dilated(mask: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    return cv2.dilate(mask, _disc(radius)).astype(np.uint8)


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)
