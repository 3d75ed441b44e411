"""Teeth and tongue: drawn sprites, and the photograph's own teeth where it shows them.

Sprite coordinates are in mouth widths: u to the right of the picture, v down the face, the origin
where the teeth meet. A sprite is drawn once and warped into every frame. Colours and proportions
are set by eye against photographs of open mouths.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array, DoubleArray
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep, spline_through
from multitalk.face import mesh

PATCH_U, PATCH_V, PATCH_TOP = 1.5, 1.4, 0.4  # a sprite spans u +-0.75, v -0.4..1.0
ENAMEL, GUM, TONGUE = (
    np.array(colour) for colour in ((226, 219, 207), (132, 70, 69), (190, 98, 98))
)
ENAMEL_TINT, TONGUE_TINT = 0.25, 0.4  # share of the light's tint that these take

# The row's arch: v by which it rises at u = ARCH_U; v by which a tooth's corners are rounded.
ARCH, ARCH_U, CORNER_ROUNDING = 0.035, 0.4, 0.020
# Shading: brightest (TOP_LIGHT) a third along a tooth; darker clefts between teeth (their width in
# mouth widths, and in pixels); darker towards the cheeks; each tooth round.
BASE_LIGHT, TOP_LIGHT, TOP_AT, TOP_SPREAD = 0.80, 0.22, 0.35, 0.35
CLEFT_DARK, CLEFT_WIDTH, CLEFT_PIXELS = 0.30, 0.010, 0.7
CHEEK_LIGHT, CHEEK_U = 0.28, 0.34
TOOTH_ROUNDNESS = 0.12
LONGEST = 1.4  # tooth lengths from the biting edge that are drawn: gum included

# The tongue: an ellipse, flatter in front; a wet sheen, a groove, darker sides and root.
TONGUE_SIZE, TONGUE_V, TONGUE_FRONT = (0.31, 0.21), 0.20, 0.4
TONGUE_EDGE = (0.72, 1.05)  # radius over which it ends
SHEEN, SHEEN_DOWN, SHEEN_ASIDE = 0.20, (-0.40, 0.20), (0.3, 0.3)
GROOVE, GROOVE_U = 0.14, 0.028
ROOT_LIGHT, BACK_LIGHT, BACK_RISES, SIDE_DARK = 0.35, 0.55, (-1.0, -0.1), 0.18

# The photograph's teeth.
HIDDEN_PART = 0.13  # mouth widths by which teeth are continued above the lip's edge
HIDDEN_LIGHT = 0.85  # brightness of their top
# A row of teeth is used if it is this wide and this high, in mouth widths; else teeth are drawn.
ROW_WIDTH, ROW_HEIGHT = 0.45, 0.035
UNEVEN = 0.035  # mouth widths by which a row's edge may deviate from a parabola
UNDER_LIP = 0.05  # mouth widths below the upper lip within which its teeth begin
TOOTH_LUMA, TOOTH_SATURATION = 0.48, 0.40  # at least of the skin's luma, at most
MIN_TOOTH = 0.02  # mouth widths: height of a column that counts
DARK_LINE = 0.025  # mouth widths: the gap between upper and lower teeth
EDGE_MEDIAN, EDGE_SOFTNESS = 0.03, 0.02  # mouth widths: filters of the biting edge
CUT_MARGIN, CUT_SOFTNESS = 0.015, 0.012  # mouth widths inside the lips; blur of the cut-out
OPAQUE = 127  # of 255
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class ToothRow:
    """One row of teeth.

    Attributes:
        widths: Of the teeth from the middle outwards, mouth widths.
        edge: v of the biting edges at rest.
        length: Of a tooth, mouth widths.
        outwards: 1 where the biting edge is below the gum, -1 above.
        second_shorter: v by which the second tooth is shorter.
        gum: Tooth lengths over which the gum begins.
        papilla: Tooth lengths by which the gum reaches further down between teeth.
    """

    widths: tuple[float, ...]
    edge: float
    length: float
    outwards: int
    second_shorter: float
    gum: tuple[float, float]
    papilla: float


UPPER_ROW = ToothRow(
    (0.150, 0.112, 0.105, 0.085, 0.060, 0.050), 0.070, 0.20, 1, 0.010, (0.92, 1.12), 0.12
)
LOWER_ROW = ToothRow(
    (0.092, 0.098, 0.100, 0.080, 0.060, 0.050), 0.020, 0.16, -1, 0.003, (1.0, 1.25), 0.0
)


@dataclass(frozen=True)
class Sprite:
    """Premultiplied colour and cover, float32 [h, w, 4], 0..255."""

    pixels: Array

    @classmethod
    def of(cls, colour: Array, cover: Array, blur: float) -> "Sprite":
        """From colour [h, w, 3] in 0..255 and cover [h, w] in 0..1."""
        stacked = np.dstack([colour * cover[..., None], cover * 255]).astype(np.float32)
        return cls(gaussian_blur(stacked, blur))


@dataclass(frozen=True)
class MouthSprites:
    """Draws teeth and tongue in the size and light of a face.

    Attributes:
        density: Sprite pixels per mouth width.
        blur: Of the sprites' edges, sprite pixels.
        exposure: Light on the face, 1 for well lit skin.
        tint: Colour of that light, RGB, mean about 1.
        colourfulness: 0 in a black and white photograph, 1 in a coloured one.
    """

    density: float
    blur: float
    exposure: float
    tint: Array
    colourfulness: float

    def lit(self, colour: NDArray[np.floating]) -> Array:
        """A colour [3], 0..255, in the photograph's light."""
        grey = colour @ LUMA
        return ((grey + (colour - grey) * self.colourfulness) * self.exposure).astype(np.float32)

    def teeth(self, row: ToothRow) -> Sprite:
        """A row of teeth with its gum."""
        u, v = self._patch()
        ends = np.cumsum((0.0, *row.widths))
        bounds = np.concatenate([-ends[:0:-1], ends])
        tooth = np.clip(np.searchsorted(bounds, u) - 1, 0, len(bounds) - 2)
        left, right = bounds[tooth], bounds[tooth + 1]
        across = (u - left) / (right - left) * 2 - 1  # -1..1 over each tooth
        inwards = self._from_edge(row, u, v, across, np.abs(tooth - (len(bounds) - 2) / 2))
        cover = np.clip(inwards * self.density / 2 + 0.5, 0, 1) * (np.abs(u) < bounds[-1])
        along = np.clip(inwards / row.length, 0, LONGEST)
        shade = BASE_LIGHT + TOP_LIGHT * np.exp(-(((along - TOP_AT) / TOP_SPREAD) ** 2))
        to_side = np.minimum(u - left, right - u) * self.density
        width = CLEFT_WIDTH * self.density + CLEFT_PIXELS
        cleft = 1 - CLEFT_DARK * np.exp(-((to_side / width) ** 2))
        towards_cheek = CHEEK_LIGHT + (1 - CHEEK_LIGHT) * np.exp(-((u / CHEEK_U) ** 4))
        rounded = 1 - TOOTH_ROUNDNESS * across**2
        enamel = self.lit(ENAMEL) * ((1 - ENAMEL_TINT) + ENAMEL_TINT * self.tint)
        colour = enamel * (shade * cleft * towards_cheek * rounded)[..., None]
        gums = smoothstep(along - row.papilla * np.abs(across) ** 2, *row.gum)
        gum = self.lit(GUM) * towards_cheek[..., None]
        colour += (gum - colour) * gums[..., None]
        return Sprite.of(colour.astype(np.float32), cover.astype(np.float32), self.blur)

    def tongue(self) -> Sprite:
        """The tongue from the front, its back highest, with a groove and a wet sheen."""
        u, v = self._patch()
        across, down = u / TONGUE_SIZE[0], (v - TONGUE_V) / TONGUE_SIZE[1]
        radius = np.hypot(across, np.where(down < 0, down, down * TONGUE_FRONT))
        cover = 1 - smoothstep(radius, *TONGUE_EDGE)
        shine_down = (down - SHEEN_DOWN[0]) / SHEEN_DOWN[1]
        shine_aside = (np.abs(across) - SHEEN_ASIDE[0]) / SHEEN_ASIDE[1]
        sheen = SHEEN * np.exp(-(shine_down**2) - shine_aside**2)
        groove = GROOVE * np.exp(-((u / GROOVE_U) ** 2))
        back = ROOT_LIGHT + BACK_LIGHT * smoothstep(down, *BACK_RISES)
        light = back - SIDE_DARK * across**2 + sheen - groove
        tint = (1 - TONGUE_TINT) + TONGUE_TINT * self.tint
        colour = self.lit(TONGUE) * tint * light[..., None]
        return Sprite.of(colour.astype(np.float32), cover.astype(np.float32), self.blur)

    def _patch(self) -> tuple[DoubleArray, DoubleArray]:
        """U and v of every sprite pixel, [h, w] each."""
        width, height = int(PATCH_U * self.density), int(PATCH_V * self.density)
        u = (np.arange(width) - width / 2) / self.density
        v = np.arange(height) / self.density - PATCH_TOP
        across, down = np.meshgrid(u, v)
        return across, down

    @staticmethod
    def _from_edge(
        row: ToothRow, u: DoubleArray, v: DoubleArray, across: DoubleArray, rank: DoubleArray
    ) -> DoubleArray:
        """Distance from the biting edge towards the gum, mouth widths [h, w].

        `rank` is the number of teeth from the middle, half-integers from 0.5.
        """
        arch = -row.outwards * ARCH * (u / ARCH_U) ** 2
        is_second = (rank > 0.9) & (rank < 1.9)
        shorter = np.where(is_second, row.second_shorter, 0)
        rounding = row.outwards * (CORNER_ROUNDING * np.abs(across) ** 4 + shorter)
        return (row.edge + arch - rounding - v) * row.outwards


@dataclass(frozen=True)
class PhotographedMouth:
    """The photograph's open mouth, cut out and continued upwards under the lip.

    Attributes:
        pixels: float32 [h, w, 3].
        cover: Of the mouth, [h, w], 0..1.
        teeth: Cover of the upper row of teeth, [h, w], 0..1; None where too little is visible.
        corner: Picture position (x, y) of the first pixel.
    """

    pixels: Array
    cover: Array
    teeth: Array | None
    corner: NDArray[np.int_]


def extract_mouth(
    picture: NDArray[np.uint8], points: NDArray[np.float64], width: float, skin_luma: float
) -> PhotographedMouth:
    """Cut the mouth out of a photograph that shows it open.

    Args:
        picture: RGB uint8 [H, W, 3].
        points: Landmarks, [478, 3] pixels.
        width: Of the mouth, pixels.
        skin_luma: Of the lit skin around it, 0..255: the reference of teeth.
    """
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
    teeth = _upper_row(pixels, visible, width, skin_luma)
    cover = _continue_upwards(pixels, visible, room)
    softness = max(0.8, width * CUT_SOFTNESS)
    smooth = gaussian_blur(pixels, softness)
    continued = (cover > 0) & ~visible
    pixels[continued] = smooth[continued]
    return PhotographedMouth(pixels, gaussian_blur(cover, softness), teeth, low - (0, room))


def _continue_upwards(pixels: Array, visible: NDArray[np.bool_], room: int) -> Array:
    """Continue each column above the lip's edge, in place; the cover of the result, [h, w]."""
    cover = np.where(visible, 1.0, 0.0).astype(np.float32)
    for column in np.flatnonzero(visible.any(0)):
        top = int(visible[:, column].argmax())
        start = max(0, top - room)
        # The topmost fifth is in the shadow of the lip: the tone is that of the next third.
        shown = int(visible[:, column].sum())
        lit = slice(top + shown // 5, top + shown // 5 + max(2, shown // 3))
        tone = pixels[lit, column].mean(0)
        fade = np.linspace(HIDDEN_LIGHT, 1, top + 1 - start)
        pixels[start : top + 1, column] = tone * fade[:, None]
        cover[start : top + 1, column] = 1
    return cover


def _upper_row(
    pixels: Array, visible: NDArray[np.bool_], width: float, skin_luma: float
) -> Array | None:
    """Cover of the upper row of teeth, 0..1 [h, w]: all above one smooth biting edge.

    A tooth pixel is bright against the skin and hardly coloured. Such pixels alone leave holes and
    specks; per column they give the row's lower edge. None where the row is too small or uneven.
    """
    luma = pixels @ LUMA
    strongest = pixels.max(2)
    saturation = (strongest - pixels.min(2)) / (strongest + 1)
    tooth = visible & (luma > TOOTH_LUMA * skin_luma) & (saturation < TOOTH_SATURATION)
    rows = np.arange(len(tooth))[:, None]
    height = tooth.sum(0)
    columns = np.flatnonzero(height >= max(2.0, MIN_TOOTH * width))
    if len(columns) < ROW_WIDTH * width or height[columns].mean() < ROW_HEIGHT * width:
        return None
    first = tooth.argmax(0)
    # What begins far below the upper lip is the lower row or the tongue.
    if np.median((first - visible.argmax(0))[columns]) > UNDER_LIP * width:
        return None
    # The upper row ends at a dark line; below it is the lower row.
    line = np.ones((max(1, round(DARK_LINE * width)), 1), np.uint8)
    closed = cv2.morphologyEx(tooth.astype(np.uint8), cv2.MORPH_CLOSE, line).astype(bool)
    ended = ~closed & (rows > first)
    last = np.where(ended.any(0), ended.argmax(0), len(tooth)) - 1.0
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
