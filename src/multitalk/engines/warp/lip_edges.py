"""Edges of lips freed of what the photograph shows between them.

Landmarks are a few pixels off the edges of open lips. What they leave of teeth and cavity on a lip
would move with it, as a white or dark line. It is filled in from the lip around it. Closed lips
have a dark line between them, which would outline both when they part. It fades as they do. Lips
that speak have the finer texture of filmed ones.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, three_channels
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import close_shadows, gaussian_blur, spline_through
from multitalk.face import mesh

BAND = 0.06  # mouth widths beside the inner edges in which teeth and dark are searched on the lips
GROWN = 0.012  # mouth widths by which what is found is enlarged: its soft edge
# Teeth are less red than so much of the lips, and lighter.
PALE, LIGHT = 0.55, 0.95
DARK = 0.62  # of the lips' luma: darker is the mouth's inside
GREYISH = 0.05  # redness of lips in a picture without colour: teeth cannot be separated there
SOFT_EDGE = 0.025  # mouth widths around the opening that are neither lip nor mouth
# Around what is filled a dark line of the mouth's blurred edge is left. A median filter of this
# width (mouth widths) takes it out, and what is filled ends softly over half of it.
BORDER = 0.05
MAX_MEDIAN = 31  # pixels: a wider one is slow
FILL_RADIUS = 5  # pixels from which a place is filled
FILL_STEP = 2  # pixels from one filled place to the next: the source is enlarged
# The dark corners of an open mouth: reach around a corner, the dark wedge that is filled, its blur
# (mouth widths each), and the share of the dark that goes.
CORNER_REACH, CORNER_WEDGE, CORNER_BLUR, CORNER_FADES = 0.18, 0.26, 0.02, 1.0
# The line between closed lips, mouth widths: its reach beside the landmarks, the widest shadow that
# is a line, the blur of what replaces it; the lip gap from which it is gone, and states of fading.
LINE_REACH, LINE_WIDEST, LINE_BLUR, LINE_GONE, LINE_LEVELS = 0.045, 0.09, 0.012, 0.05, 16
LINE_STEPS = 5  # samples between two landmarks
# Mouth widths inside the opening that are filled, too: lips are drawn softly over their edges.
INSIDE = 0.04
# The lips' fine texture: what is finer than so many pixels of the picture is stronger by this
# share, by so many levels at most; mouth widths over which that ends around the lips.
FINE, FINER, MOST_FINER, FINE_ENDS = 1.6, 0.4, 14.0, 0.02
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
    found = (band & (_pale(source, red) | _dark(source, red))).astype(np.uint8)
    # What is found must begin at the opening, or it is the lip's own shine.
    _, parts = cv2.connectedComponents(np.maximum(found, between))
    found[~np.isin(parts, np.unique(parts[between > 0]))] = 0
    grown = np.where(band, cv2.dilate(found, _disc(GROWN * width)), 0)
    # The opening itself is no source of colours: it is filled, too, and then put back. Nor is its
    # soft edge, or the dark would spread from it.
    soft = cv2.dilate(between, _disc(SOFT_EDGE * width))
    mask = np.maximum(grown, soft).astype(np.uint8)
    filled = _without_border(_inpainted(source, mask), mask, lips, width)
    for corner in (mesh.RIGHT_INNER_CORNER, mesh.LEFT_INNER_CORNER):
        _lighten_corner(filled, places[corner], width)
    kept = cv2.erode(between, _disc(INSIDE * width))
    near = np.maximum(grown, between)
    for corner in (mesh.RIGHT_INNER_CORNER, mesh.LEFT_INNER_CORNER):
        centre = np.round(places[corner]).astype(int).tolist()
        cv2.circle(near, centre, round(2 * CORNER_REACH * width), 1, -1)
    near = cv2.dilate(near, _disc(BORDER / 2 * width))
    soft_cover = gaussian_blur(near.astype(np.float32), max(0.8, BORDER / 4 * width))
    soft_cover[kept > 0] = 0
    changed = (filled - source.astype(np.float32)) * soft_cover[..., None]
    source[:] = np.round(source + changed).astype(np.uint8)


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


def _without_border(
    filled: NDArray[np.uint8], mask: NDArray[np.uint8], lips: NDArray[np.uint8], width: float
) -> NDArray[np.uint8]:
    """A filled source without the line that is left at the border of its mask, on the lips."""
    side = min(max(3, round(BORDER * width)), MAX_MEDIAN) | 1
    disc = _disc(BORDER / 2 * width)
    border = (cv2.dilate(mask, disc) != cv2.erode(mask, disc)) & (lips > 0)
    result, reach = filled.copy(), side // 2
    around = span_of(border.any(1), reach), span_of(border.any(0), reach)
    smooth = cv2.medianBlur(np.ascontiguousarray(filled[around]), side)
    cv2.copyTo(smooth, border[around].astype(np.uint8), result[around])
    return result


def _inpainted(source: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A source whose masked places are filled from around them, on a smaller picture."""
    rows, columns = mask.shape
    size = (-(-columns // FILL_STEP), -(-rows // FILL_STEP))
    few, hidden = (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (source, 255 * mask)
    )
    few = cv2.inpaint(few, hidden, FILL_RADIUS / FILL_STEP, cv2.INPAINT_TELEA)
    filled = cv2.resize(few, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.where(mask[..., None] > 0, filled, source).astype(np.uint8)


def _lighten_corner(picture: NDArray[np.uint8], corner: NDArray[np.float64], width: float) -> None:
    """Fade the dark wedge around a corner, in place: closed lips have none.

    The opening must be filled in: a closing fills what is dark and narrow.
    """
    reach = CORNER_REACH * width
    low = np.maximum((corner - 2 * reach).astype(int), 0)
    high = np.minimum((corner + 2 * reach).astype(int) + 1, picture.shape[1::-1])
    if (high - low < 3).any():
        return
    view = picture[low[1] : high[1], low[0] : high[0]]
    smooth = gaussian_blur(view.astype(np.float32), max(0.8, CORNER_BLUR * width / 2))
    filled = close_shadows(smooth, CORNER_WEDGE * width, blur=max(0.8, CORNER_BLUR * width))
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    near = np.exp(-(((x - corner[0]) ** 2 + (y - corner[1]) ** 2) / reach**2))
    # Added, not multiplied: dark pixels are red or blue by chance, and would light up so.
    lightened = view + (CORNER_FADES * near)[..., None] * np.maximum(filled - smooth, 0)
    view[:] = np.clip(lightened, 0, 255).astype(np.uint8)


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


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)
