"""What is drawn between the lips where the photograph shows nothing: teeth and tongue.

Lengths are in mouth widths: u to the right of the picture, v down the face, the origin where the
lips meet. A part is drawn once, in a patch of its own, and laid over every frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.smoothing import smoothstep, spline_through
from multitalk.face import mesh

LUMA = np.array([0.30, 0.59, 0.11], np.float32)
PATCH_U, PATCH_V, PATCH_TOP = 1.5, 1.4, 0.4  # a patch spans u +-0.75, v -0.4..1.0
UPPER_TEETH = (0.150, 0.112, 0.105, 0.085, 0.060, 0.050)  # widths from the middle outwards
LOWER_TEETH = (0.092, 0.098, 0.100, 0.080, 0.060, 0.050)
UPPER_EDGE, LOWER_EDGE = 0.070, 0.020  # v of the biting edges at rest
ENAMEL, GUM, TONGUE = (
    np.array(colour) for colour in ((226, 219, 207), (132, 70, 69), (190, 98, 98))
)


def gaussian_blur(image: NDArray[np.floating], sigma: float) -> Array:
    """Gaussian blur of a float32 image of any number of channels; `sigma` in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Sprite:
    """A drawn part: premultiplied colour and cover in a patch, float32 [h, w, 4], 0..255."""

    pixels: Array

    @classmethod
    def of(cls, colour: Array, cover: Array, blur: float) -> "Sprite":
        """From colour [h, w, 3] in 0..255 and cover [h, w] in 0..1."""
        stacked = np.dstack([colour * cover[..., None], cover * 255]).astype(np.float32)
        return cls(gaussian_blur(stacked, blur))


@dataclass(frozen=True)
class MouthSprites:
    """Draws teeth and tongue as large and as lit as a face needs them.

    Attributes:
        density: Patch pixels for one mouth width.
        blur: Of the patches' edges, patch pixels.
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

    def upper_teeth(self) -> Sprite:
        """Their biting edge at v = `UPPER_EDGE`."""
        return self._teeth(UPPER_TEETH, edge=UPPER_EDGE, length=0.20, upper=True)

    def lower_teeth(self) -> Sprite:
        """Their biting edge at v = `LOWER_EDGE`."""
        return self._teeth(LOWER_TEETH, edge=LOWER_EDGE, length=0.16, upper=False)

    def tongue(self) -> Sprite:
        """Seen from in front, its back highest, with a groove and a wet sheen."""
        u, v = self._patch()
        across, down = u / 0.31, (v - 0.20) / 0.21
        radius = np.hypot(across, np.where(down < 0, down, down * 0.4))
        cover = 1 - smoothstep(radius, 0.72, 1.05)
        sheen = 0.20 * np.exp(-(((down + 0.40) / 0.20) ** 2) - ((np.abs(across) - 0.3) / 0.3) ** 2)
        groove = 0.14 * np.exp(-((u / 0.028) ** 2))
        # The back of the tongue rises out of the dark.
        light = 0.35 + 0.55 * smoothstep(down, -1.0, -0.1) - 0.18 * across**2 + sheen - groove
        colour = self.lit(TONGUE) * (0.6 + 0.4 * self.tint) * light[..., None]
        return Sprite.of(colour.astype(np.float32), cover.astype(np.float32), self.blur)

    def _patch(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both coordinates, u and v, at every pixel of a patch."""
        width, height = int(PATCH_U * self.density), int(PATCH_V * self.density)
        u = (np.arange(width) - width / 2) / self.density
        v = np.arange(height) / self.density - PATCH_TOP
        across, down = np.meshgrid(u, v)
        return across, down

    def _teeth(
        self, widths: tuple[float, ...], *, edge: float, length: float, upper: bool
    ) -> Sprite:
        u, v = self._patch()
        ends = np.cumsum((0.0, *widths))
        bounds = np.concatenate([-ends[:0:-1], ends])
        tooth = np.clip(np.searchsorted(bounds, u) - 1, 0, len(bounds) - 2)
        across = (u - bounds[tooth]) / (bounds[tooth + 1] - bounds[tooth]) * 2 - 1  # -1..1
        # The row is an arch; each edge is rounded, and the second upper teeth are shorter.
        outwards = 1 if upper else -1
        arch = -outwards * 0.035 * (u / 0.4) ** 2
        place_in_row = np.abs(tooth - (len(bounds) - 2) / 2)
        second = np.where((place_in_row > 0.9) & (place_in_row < 1.9), 0.010 if upper else 0.003, 0)
        biting = edge + arch - outwards * (0.020 * np.abs(across) ** 4 + second)
        inwards = (biting - v) * outwards  # distance from the biting edge towards the gum
        cover = np.clip(inwards * self.density / 2 + 0.5, 0, 1) * (np.abs(u) < bounds[-1])
        along = np.clip(inwards / length, 0, 1.4)
        shade = 0.80 + 0.22 * np.exp(-(((along - 0.35) / 0.35) ** 2))
        to_side = np.minimum(u - bounds[tooth], bounds[tooth + 1] - u) * self.density
        cleft = 1 - 0.30 * np.exp(-((to_side / (0.010 * self.density + 0.7)) ** 2))
        towards_cheek = 0.28 + 0.72 * np.exp(-((u / 0.34) ** 4))
        rounded = 1 - 0.12 * across**2
        enamel = self.lit(ENAMEL) * (0.75 + 0.25 * self.tint)
        colour = enamel * (shade * cleft * towards_cheek * rounded)[..., None]
        start, end = (0.92, 1.12) if upper else (1.0, 1.25)
        gums = smoothstep(along - (0.12 * np.abs(across) ** 2 if upper else 0), start, end)
        gum = self.lit(GUM) * towards_cheek[..., None]
        colour += (gum - colour) * gums[..., None]
        return Sprite.of(colour.astype(np.float32), cover.astype(np.float32), self.blur)


ROOM = 0.13  # mouth widths by which teeth go on above the lip's edge
# A row of teeth is used if it is this wide and this high, in mouth widths; else teeth are drawn.
ROW_WIDTH, ROW_HEIGHT = 0.45, 0.035
UNEVEN = 0.035  # mouth widths by which a row's edge may be off one even bend
UNDER_LIP = 0.05  # mouth widths below the upper lip within which its teeth begin


@dataclass(frozen=True)
class PhotographedMouth:
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


def extract_mouth(
    picture: NDArray[np.uint8], points: NDArray[np.float64], width: float, skin_luma: float
) -> PhotographedMouth:
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
    smooth = gaussian_blur(pixels, max(0.8, width * 0.012))
    extended = (cover > 0) & ~seen
    pixels[extended] = smooth[extended]
    cover = gaussian_blur(cover, max(0.8, width * 0.012))
    return PhotographedMouth(pixels, cover, teeth, low - (0, room))


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
    edge = gaussian_blur(edge[None].astype(np.float32), max(0.8, 0.02 * width))[0]
    bent = np.polynomial.Polynomial.fit(columns, edge[columns], 2)
    if np.percentile(np.abs(bent(columns) - edge[columns]), 90) > UNEVEN * width:
        return None  # here and there the lower teeth or the tongue were taken for them
    soft = max(1.0, 0.02 * width)
    left, right = np.percentile(columns, (1, 99))
    ends = np.clip(np.minimum(everywhere - left, right - everywhere) / (2 * soft) + 0.5, 0, 1)
    return (np.clip((edge - rows) / soft + 1, 0, 1) * ends).astype(np.float32)
