"""Inside of the mouth: cavity, tongue and teeth, drawn between the lips.

Lengths here are in mouth widths: +u to the right of the picture, +v down the face, the origin where
the lips meet. The upper teeth belong to the skull, tongue and lower teeth to the jaw. A photograph
that shows its own teeth keeps them: they are keyed, extended under the lip and used in place of
drawn ones.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.head import HeadFrame
from multitalk.face import mesh
from multitalk.face.geometry import smoothstep, spline_through

Array = NDArray[np.float32]

LUMA = np.array([0.30, 0.59, 0.11], np.float32)
PATCH_U, PATCH_V, PATCH_TOP = 1.5, 1.4, 0.4  # a patch spans u +-0.75, v -0.4..1.0
UPPER_TEETH = (0.150, 0.112, 0.105, 0.085, 0.060, 0.050)  # widths from the middle outwards
LOWER_TEETH = (0.092, 0.098, 0.100, 0.080, 0.060, 0.050)
UPPER_EDGE, LOWER_EDGE = 0.055, -0.010  # v of the biting edges at rest
RETREAT = 0.075  # how far rounded lips hide the teeth
OWN_TEETH_SHARE = 0.12  # of an open photograph's mouth must be teeth for them to be used


def blurred(image: NDArray[np.floating], sigma: float) -> Array:
    """Gaussian blur of a float32 image of any number of channels; `sigma` in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)


def three_times(cover: Array) -> Array:
    """Cover [h, w] for each of three channels, [h, w, 3]: quicker than broadcasting by numpy."""
    return cv2.merge((cover, cover, cover)).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Aperture:
    """The opening between the lips in one frame.

    Attributes:
        upper: Lower edge of the upper lip, pixels of the frame, [N, 2], right to left.
        lower: Upper edge of the lower lip, likewise.
        seam: The line along which the two halves of the face are joined, [N, 2].
        gap: Pixels between the lips along the face, [N], never negative.
    """

    upper: Array
    lower: Array
    seam: Array
    gap: Array

    @classmethod
    def between(cls, upper: Array, lower: Array, down: NDArray[np.float64]) -> "Aperture":
        """Lips that crossed meet half-way; `down` is the unit vector down the face."""
        gap = ((lower - upper) @ down).astype(np.float32)
        crossed = (np.clip(-gap, 0, None)[:, None] * down / 2).astype(np.float32)
        upper, lower = upper - crossed, lower + crossed
        seam = (upper + lower) / np.float32(2)
        return cls(upper, lower, seam, np.maximum(gap, 0))


@dataclass(frozen=True)
class Sprite:
    """A drawn part: premultiplied colour and cover in a patch, float32 [h, w, 4], 0..255."""

    pixels: Array

    @classmethod
    def of(cls, colour: Array, cover: Array, blur: float) -> "Sprite":
        """From colour [h, w, 3] in 0..255 and cover [h, w] in 0..1."""
        stacked = np.dstack([colour * cover[..., None], cover * 255]).astype(np.float32)
        return cls(blurred(stacked, blur))


@dataclass(frozen=True)
class OwnMouth:
    """The photograph's own mouth, cut out and extended upwards under the lip.

    Attributes:
        pixels: float32 [h, w, 3].
        cover: What of it is mouth at all, [h, w], 0..1.
        teeth: What of it is teeth, [h, w], 0..1.
        corner: Picture place (x, y) of the cut-out's first pixel.
        share: Share of the mouth that is teeth, 0..1.
    """

    pixels: Array
    cover: Array
    teeth: Array
    corner: NDArray[np.int_]
    share: float


class MouthInterior:
    """Draws what is seen between parted lips of one face."""

    def __init__(
        self,
        picture: NDArray[np.uint8],
        points: NDArray[np.float64],
        frame: HeadFrame,
        parted: float,
    ) -> None:
        self._points = points
        self._frame = frame
        self._width = frame.mouth_width
        self._u = frame.axes[0, :2] * self._width
        self._down = frame.axes[1, :2] / np.linalg.norm(frame.axes[1, :2])
        self._v = frame.axes[1, :2] * self._width
        self._density = self._width * (4 if self._width < 90 else 2)  # patch pixels a mouth width
        light = _skin_colour(picture, points, self._width)
        self._skin_luma = float(light @ LUMA)
        self._exposure = float(np.clip(self._skin_luma / 165.0, 0.25, 1.15))
        self._tint = light / max(self._skin_luma, 1.0)
        self._picture = picture
        self._own: OwnMouth | None = self._cut_own_mouth() if parted > 0.05 else None
        upper, lower = points[mesh.INNER_UPPER_LIP, :2], points[mesh.INNER_LOWER_LIP, :2]
        #: Where the lips meet when the jaw closes; moves with the skull.
        self.meeting_place: NDArray[np.float64] = upper + (lower - upper) * 0.38

    @property
    def shows_own_teeth(self) -> bool:
        """Whether the photograph's teeth are good enough to be used."""
        return self._own is not None and self._own.share >= OWN_TEETH_SHARE

    def draw(
        self,
        region: Array,
        corner: tuple[int, int],
        aperture: Aperture,
        *,
        skull: NDArray[np.floating],
        jaw_drop: float,
        rounding: float,
        tongue: float,
        spoken: float,
    ) -> None:
        """Paint the inside of the mouth into `region`, in place.

        Args:
            region: float32 [h, w, 3] of the frame around the mouth.
            corner: Frame place (x, y) of the region's first pixel.
            aperture: The opening to fill.
            skull: Where `meeting_place` is in this frame, (x, y).
            jaw_drop: Pixels by which the jaw is down.
            rounding: 0..1; rounded lips hide the teeth.
            tongue: 0..1; 1 touches the upper teeth.
            spoken: 0 leaves an open photograph's own mouth as it is, 1 draws a speaking one.
        """
        height, width = region.shape[:2]
        outline = np.concatenate([aperture.upper, aperture.lower[::-1]]) - corner
        low = np.maximum(np.floor(outline.min(0) - 4).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(0) + 5).astype(int), (width, height))
        size = high - low
        if (size <= 1).any():
            return
        opening = self._opening_mask(outline - low, size)
        place = np.asarray(corner) + low
        inside = self._inside(
            place, size, skull, jaw_drop, rounding=rounding, tongue=tongue, spoken=spoken
        )
        inside *= three_times(self._occlusion(opening, rounding))
        view = region[low[1] : high[1], low[0] : high[0]]
        rim = np.clip(blurred(opening, max(1.0, self._width * 0.02)) - opening, 0, 1)
        view *= three_times(1 - np.float32(0.35) * rim)
        view += (inside - view) * three_times(opening)

    def contact_line(
        self, region: Array, corner: tuple[int, int], aperture: Aperture, strength: float
    ) -> None:
        """Darken the line between closed lips, in place: an open photograph has none to show."""
        line = np.zeros(region.shape[:2], np.uint8)
        points = np.round((aperture.seam[2:-2] - corner) * 16).astype(np.int32)
        thickness = max(1, int(self._width * 0.012))
        cv2.polylines(line, [points], False, 255, thickness, cv2.LINE_AA, 4)
        soft = blurred(line.astype(np.float32), max(0.7, self._width * 0.010))
        region *= 1 - (0.55 * strength / 255) * soft[..., None]

    def _opening_mask(self, outline: Array, size: NDArray[np.int_]) -> Array:
        width, height = (int(n) for n in size)
        fine = np.zeros((height * 2, width * 2), np.uint8)
        cv2.fillPoly(fine, [np.round(outline * 2 * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        mask = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        return blurred(mask.astype(np.float32) / 255, max(0.55, self._width * 0.006))

    def _inside(
        self,
        place: NDArray[np.int_],
        size: NDArray[np.int_],
        skull: NDArray[np.floating],
        jaw_drop: float,
        *,
        rounding: float,
        tongue: float,
        spoken: float,
    ) -> Array:
        width, height = (int(n) for n in size)
        rows = np.arange(height)[:, None] + place[1]
        columns = np.arange(width)[None, :] + place[0]
        depth = (rows - skull[1]) / (max(jaw_drop, 1.0) + 0.10 * self._width)
        aside = (columns - skull[0]) / (0.42 * self._width)
        # Darkest at the throat, in the middle; warmer towards cheeks and floor.
        glow = 0.55 + 0.75 * smoothstep(depth, 0.35, 1.1) + 0.45 * np.clip(np.abs(aside), 0, 1) ** 2
        inside = (self._cavity_colour * glow[..., None]).astype(np.float32)
        narrow = 1 - 0.25 * rounding
        jaw = skull + self._down * (jaw_drop + 0.055 * self._width)
        tongue_root = skull + self._down * (
            jaw_drop * (0.72 - 0.22 * tongue) - (0.05 + 0.05 * tongue) * self._width
        )
        # Rounded lips come forward and down over the teeth, which stay back in the shade.
        retreat = self._down * (RETREAT * rounding * self._width)
        shade = 1 - 0.35 * rounding
        self._over(
            inside, self._tongue, tongue_root, place, light=0.72 + 0.1 * tongue, narrow=narrow
        )
        self._over(inside, self._lower_teeth, jaw + retreat, place, light=0.74 * shade)
        if not self.shows_own_teeth:
            self._over(inside, self._upper_teeth, skull - retreat, place, light=shade)
        if self._own is not None:
            own = self._own
            keep = own.cover * ((1 - spoken) + spoken * own.teeth)
            shift = skull - retreat - self.meeting_place + own.corner - place
            sprite = np.dstack([own.pixels * (keep * shade)[..., None], keep * 255])
            self._blend(inside, sprite, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]))
        return inside

    def _over(
        self,
        inside: Array,
        sprite: Sprite,
        origin: NDArray[np.floating],
        place: NDArray[np.int_],
        *,
        light: float,
        narrow: float = 1.0,
    ) -> None:
        """Lay a sprite over `inside` with its own origin at frame place `origin`."""
        right, down = self._u / self._density * narrow, self._v / self._density
        linear = np.array([[right[0], down[0]], [right[1], down[1]]])
        width = sprite.pixels.shape[1]
        start = origin - place - linear @ np.array([width / 2, PATCH_TOP * self._density])
        transform = np.concatenate([linear, start[:, None]], 1)
        self._blend(inside, sprite.pixels, transform, light=light)

    @staticmethod
    def _blend(
        inside: Array,
        premultiplied: Array,
        transform: NDArray[np.floating],
        *,
        light: float = 1.0,
    ) -> None:
        height, width = inside.shape[:2]
        placed = cv2.warpAffine(
            premultiplied,
            transform.astype(np.float64),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )
        inside *= three_times(1 - placed[..., 3] / np.float32(255))
        inside += placed[..., :3] * light

    def _occlusion(self, opening: Array, rounding: float) -> Array:
        """Light that reaches the inside: less near the lips, least under the upper one."""
        soft = blurred(opening, max(1.0, self._width * 0.035))
        shift = self._down * self._width * 0.03
        lowered = cv2.warpAffine(
            soft, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), soft.shape[::-1]
        )
        light = np.clip(0.58 + 0.62 * np.minimum(soft, lowered), 0, 1) * (1 - 0.15 * rounding)
        return light.astype(np.float32)

    # Parts, drawn once ---------------------------------------------------------------------------

    @cached_property
    def _cavity_colour(self) -> Array:
        return np.array([46, 18, 18], np.float32) * self._exposure

    @cached_property
    def _patch(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both coordinates, u and v, at every pixel of a patch."""
        width, height = int(PATCH_U * self._density), int(PATCH_V * self._density)
        u = (np.arange(width) - width / 2) / self._density
        v = np.arange(height) / self._density - PATCH_TOP
        across, down = np.meshgrid(u, v)
        return across, down

    @property
    def _blur(self) -> float:
        return max(0.6, 0.9 * self._density / self._width)

    @cached_property
    def _upper_teeth(self) -> Sprite:
        return self._teeth(UPPER_TEETH, edge=UPPER_EDGE, length=0.20, upper=True)

    @cached_property
    def _lower_teeth(self) -> Sprite:
        return self._teeth(LOWER_TEETH, edge=LOWER_EDGE, length=0.16, upper=False)

    def _teeth(
        self, widths: tuple[float, ...], *, edge: float, length: float, upper: bool
    ) -> Sprite:
        u, v = self._patch
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
        cover = np.clip(inwards * self._density / 2 + 0.5, 0, 1) * (np.abs(u) < bounds[-1])
        along = np.clip(inwards / length, 0, 1.4)
        shade = 0.80 + 0.22 * np.exp(-(((along - 0.35) / 0.35) ** 2))
        to_side = np.minimum(u - bounds[tooth], bounds[tooth + 1] - u) * self._density
        cleft = 1 - 0.17 * np.exp(-((to_side / (0.008 * self._density + 0.6)) ** 2))
        towards_cheek = 0.30 + 0.70 * np.exp(-((u / 0.40) ** 4))
        rounded = 1 - 0.07 * across**2
        enamel = np.array([212, 203, 188]) * self._exposure * (0.75 + 0.25 * self._tint)
        gum = np.array([165, 88, 86]) * 0.8 * self._exposure
        colour = enamel * (shade * cleft * towards_cheek * rounded)[..., None]
        start, end = (0.92, 1.12) if upper else (1.0, 1.25)
        gums = smoothstep(along - (0.12 * np.abs(across) ** 2 if upper else 0), start, end)
        colour += (gum * towards_cheek[..., None] - colour) * gums[..., None]
        return Sprite.of(colour.astype(np.float32), cover.astype(np.float32), self._blur)

    @cached_property
    def _tongue(self) -> Sprite:
        u, v = self._patch
        across, down = u / 0.29, (v - 0.20) / 0.21
        radius = np.hypot(across, np.where(down < 0, down, down * 0.4))
        cover = 1 - smoothstep(radius, 0.80, 1.02)
        sheen = 0.16 * np.exp(-(((down + 0.45) / 0.22) ** 2) - (across / 0.55) ** 2)
        groove = 0.16 * np.exp(-((u / 0.022) ** 2))
        light = 0.60 + 0.38 * np.exp(-((radius / 0.75) ** 2)) + sheen - groove
        colour = np.array([176, 94, 94]) * self._exposure * light[..., None]
        return Sprite.of(colour.astype(np.float32), cover.astype(np.float32), self._blur)

    def _cut_own_mouth(self) -> OwnMouth:
        points, width = self._points, self._width
        upper = spline_through(points[list(mesh.LIPS_INNER_UPPER), :2], steps=5)
        lower = spline_through(points[list(mesh.LIPS_INNER_LOWER), :2], steps=5)
        outline = np.concatenate([upper, lower[::-1]])
        limit = np.array(self._picture.shape[1::-1])
        low = np.maximum(np.floor(outline.min(0) - 3).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(0) + 4).astype(int), limit)
        mask = np.zeros((high - low)[::-1], np.uint8)
        cv2.fillPoly(mask, [np.round((outline - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        margin = max(1, int(width * 0.015))
        mask = cv2.erode(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
        pixels = self._picture[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        # Teeth go on above the lip's edge, a little darker upwards.
        room = int(max(3, width * 0.13))
        mask = np.pad(mask, ((room, 0), (0, 0)))
        pixels = np.pad(pixels, ((room, 0), (0, 0), (0, 0)), mode="edge")
        seen = mask > 127
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
        teeth = self._key_teeth(pixels)
        share = float((teeth * cover).sum() / max(float(cover.sum()), 1.0))
        return OwnMouth(pixels, cover, teeth, low - (0, room), share)

    def _key_teeth(self, pixels: Array) -> Array:
        """How surely each pixel is a tooth: bright against the skin, hardly coloured, no speck."""
        luma = pixels @ LUMA
        bright = smoothstep(luma, 0.38 * self._skin_luma, 0.62 * self._skin_luma)
        strongest = pixels.max(2)
        saturation = (strongest - pixels.min(2)) / (strongest + 1)
        teeth = (bright * (1 - smoothstep(saturation, 0.30, 0.48))).astype(np.float32)
        size = max(1, int(self._width * 0.02))
        without_specks = cv2.morphologyEx(teeth, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
        return blurred(without_specks.astype(np.float32), max(0.8, self._width * 0.012))


def _skin_colour(
    picture: NDArray[np.uint8], points: NDArray[np.float64], mouth_width: float
) -> NDArray[np.float32]:
    """Lit skin around the mouth, RGB 0..255: the 70th percentile of each channel."""
    around = points[
        [
            mesh.RIGHT_MOUTH_CORNER,
            mesh.LEFT_MOUTH_CORNER,
            mesh.OUTER_UPPER_LIP,
            mesh.OUTER_LOWER_LIP,
        ],
        :2,
    ]
    low = np.maximum((around.min(0) - 0.2 * mouth_width).astype(int), 0)
    high = (around.max(0) + 0.2 * mouth_width).astype(int)
    pixels = picture[low[1] : high[1], low[0] : high[0]].reshape(-1, 3)
    return np.percentile(pixels, 70, axis=0).astype(np.float32)
