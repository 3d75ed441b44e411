"""One eyelid: where it is around an eye, and how it is painted as it closes."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, interpolate_monotone, smoothstep

LID_LEVELS = 8  # distinct stages of a blink
DARKEST_SKIN = 20.0  # of 255: below it nothing can be distinguished

# Lengths from here on are in eye widths, and set by eye, unless another unit or source is given.
LASH_HEIGHT = 0.055  # lash line above the landmarks of an open eye
LASH_OF_SHUT, LASH_FULL_GAP = 0.45, 0.12  # share of it at no gap; gap from which all of it
BROW_ROOM, LID_ROOM = 0.80, (0.22, 0.60)  # share of the way to the brow; limits
SIDE_FADE = 0.28  # beyond the corners
LASH_TAPER = 0.48  # aside, where lashes end
LID_TAPER = (0.42, 0.62)  # aside, over which the lid above the eye ends
LASH_SPACING, LASH_FAN = 0.055, 0.9  # between bundles of lashes; how they spread below
LASH_MEAN, LASH_CONTRAST, LASH_IRREGULAR, LASH_PERIODS = 0.50, 0.28, 1.4, 3.7

# The skin's colour: where it is sampled (shares of the way from brow to lashes, and below the eye),
# how sure it is to be skin, and how it spreads.
SKIN_ABOVE, CHEEK, SAMPLED_FADE = (0.20, 0.80), (0.10, 0.36), 0.6
CHEEK_ASIDE = 0.4
FITS = 3  # of the plane of skin colour, each without the outliers of the previous one
OUTLIERS, DARK_OUTLIER, BRIGHT_OUTLIER = 1.5, 0.7, 2.0  # of the median deviation
SKIN_SPREADS = 0.22  # standard deviation of the normalised convolution
SPREAD_PIXELS = 4  # the same, pixels of the smaller picture on which it is computed
PLANE_SHARE = 0.03  # weight of the plane, where no skin is near
GRAIN_BELOW, GRAIN_BLUR, MAX_GRAIN = 0.55, 0.025, 6.0  # offset; blur; levels of 255

# The strip of lid above the lashes, which covers the eye when it shuts: shares of the way from brow
# to lashes, places along it, the percentiles of brightness that are neither lash nor crease, and
# the smoothing of its colours.
STRIP, STRIP_ASIDE, STRIP_PLACES, STRIP_PIXELS = (0.38, 0.80), 0.5, 16, 3
STRIP_BRIGHTNESS, STRIP_SPREADS = (0.5, 0.95), 0.10
DARKEST_LID = 0.70  # brightness of a shut lid at least, as a share of the skin's below the eye

# Painting a lid: shares of the way from brow to lashes over which it begins, edges, shading.
LID_STARTS, LID_COVERS = 0.30, 0.75
LOWER_RIM = 0.03  # the white of an eye below its landmarks
EDGE_SOFTNESS, OPEN_GAP = 0.03, 0.08  # of a lid's edge; gap from which an eye counts as open
LID_SHADE, LID_SHADED = 0.14, (0.35, 1.1)  # towards the lashes; shares of the lid
CREASE_SHADE, CREASE_ABOVE, CREASE_WIDTH = 0.10, 0.03, 0.055
BELOW_SHADE, BELOW_FADE = 0.16, 0.07  # below the lashes
ROUNDNESS, ROUND_AT, ROUND_SPREAD = 0.05, 0.45, 0.38  # gain in the middle of a shut lid; shares
LASH_DARK, LASH_BELOW, LASH_ABOVE = 0.72, 0.055, 0.024  # darkening, and thickness
TINT_LIMITS = (0.5, 1.5)  # of shade on a channel: skin in shade is redder
UNSEEN = 1 / 1024  # change of a colour's share that no pixel shows

# The skin above the eye that a lid draws down: where it begins (share of the way from brow to
# lashes), the lashes above the lash line that it leaves out, its share of the painted lid, and the
# levels by which it differs from the skin around where it is hair or a crease.
DRAWN_FROM, LASHES_ABOVE, OWN_SKIN, UNLIKE_SKIN = 0.15, 0.03, 0.75, (35.0, 90.0)
DARKER_UNLIKE = 2.0  # weight of a difference to the darker side: hair of a brow

# A dark line across the lid of somebody with glasses is their rim: darkness as a share of the
# cheek's brightness, quantile over the columns, thickness, margins.
RIM, RIM_COLUMNS, RIM_THINNER_THAN = 0.45, 0.3, 0.30
RIM_BLUR, RIM_ABOVE_LASHES, RIM_ASIDE = 0.5, 0.02, 0.42  # pixels; eye widths


@dataclass(frozen=True)
class LidGeometry:
    """Where each pixel is around one eye, float32 [h, w], in pixels along and across the eye.

    Attributes:
        x: Along the eye from its centre.
        y: Down from its centre.
        lid: y of the upper lid.
        floor: y of the lower lid.
        gap: Between them, never negative.
        edge: y of the lash line.
        top: y where a lid's skin begins.
        half: Half the eye's extent along x.
        width: Of the eye, from corner to corner.
        down: Unit vector (x, y) of the picture across the eye.
    """

    x: Array
    y: Array
    lid: Array
    floor: Array
    gap: Array
    edge: Array
    top: Array
    half: float
    width: float
    down: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        lids: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        low: NDArray[np.int_],
        high: NDArray[np.int_],
    ) -> "LidGeometry":
        """Of upper lid, lower lid and brow [N, 2] in the pixels low..high."""
        upper, lower, brow = lids
        width = float(np.linalg.norm(upper[0] - upper[-1]))
        centre = (upper[0] + upper[-1]) / 2
        along = (upper[-1] - upper[0]) / width
        if along[0] < 0:
            along = -along
        down = np.array([-along[1], along[0]])

        def local(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack([(points - centre) @ along, (points - centre) @ down], -1)

        columns, rows = np.arange(low[0], high[0]), np.arange(low[1], high[1])
        x, y = (
            ((columns - centre[0]) * way[0] + ((rows - centre[1]) * way[1])[:, None]).astype(
                np.float32
            )
            for way in (along, down)
        )
        lid_line, floor_line, brow_line = local(upper), local(lower), local(brow)
        order = np.argsort(lid_line[:, 0])
        xs = lid_line[order, 0]
        lid, floor = (
            interpolate_monotone(x, xs, line[order, 1]).astype(np.float32)
            for line in (lid_line, floor_line)
        )
        gap = np.clip(floor - lid, 0, None)
        lash = LASH_HEIGHT * width
        edge = lid - lash * np.clip(LASH_OF_SHUT + gap / (LASH_FULL_GAP * width), 0, 1)
        room = float(BROW_ROOM * (lid_line[:, 1].mean() - brow_line[:, 1].mean()))
        top = edge - float(np.clip(room, LID_ROOM[0] * width, LID_ROOM[1] * width))
        half = float((xs[-1] - xs[0]) / 2)
        return cls(x, y, lid, floor, gap, edge, top, half, width, down)

    @property
    def above(self) -> Array:
        """Share of the way from the top of the lid to the lash line, [h, w]."""
        return (self.y - self.top) / np.maximum(self.edge - self.top, 1.0)

    @property
    def under(self) -> Array:
        """Distance below the lower lid, eye widths, [h, w]."""
        return (self.y - self.floor) / self.width


class Lid:
    """The lid of one eye in the colour of the skin around it."""

    def __init__(self, base: NDArray[np.uint8], place: LidGeometry) -> None:
        """Prepare to paint.

        Args:
            base: Patch of the picture around the eye, uint8 [h, w, C].
            place: Where its pixels are.
        """
        width, aside = place.width, np.abs(place.x)
        self._base, self._place, self._width = base, place, width
        self._fade = 1 - smoothstep((aside - place.half) / (SIDE_FADE * width), 0, 1)
        self._lash_taper = 1 - np.clip(aside / (LASH_TAPER * width), 0, 1) ** 4
        self._lid_taper = 1 - smoothstep(aside / width, *LID_TAPER)
        # Lashes fan out towards the temple and the nose: dark and light along the lid.
        ray = place.x / (1 + LASH_FAN * np.clip(place.y, 0, None) / width)
        phase = 2 * np.pi * ray / (LASH_SPACING * width)
        wave = np.cos(phase + LASH_IRREGULAR * np.sin(phase / LASH_PERIODS))
        self._bristle = LASH_MEAN + LASH_CONTRAST * wave
        self._grain = self._fine_structure()
        self._skin = self._skin_around() + self._grain
        colour = np.array(cv2.mean(self._skin)[: base.shape[2]], np.float32)
        self._tint = np.clip(2 - colour / max(float(colour[:3].mean()), 1.0), *TINT_LIMITS)
        self._stages = lru_cache(maxsize=LID_LEVELS + 1)(self._make_stage)

    @cached_property
    def strip_brightness(self) -> float:
        """Brightness of the lid above the lashes, as a share of the skin's below the eye."""
        colour = np.array(cv2.mean(self._strip_colours)[:3], np.float32)
        return float(colour @ LUMA) / cheek_brightness(self._base, self._place)

    def blend_strip(self, share: float) -> None:
        """Blend the lid's colour with that of the strip above the lashes, 0..1."""
        self._skin += np.float32(share) * (self._strip_colours + self._grain - self._skin)
        self._stages.cache_clear()

    def paint(self, eye: NDArray[np.uint8], level: int) -> None:
        """Paint the lid over an open eye, in place.

        Args:
            eye: Of the size of the patch.
            level: 1 .. LID_LEVELS, where it is shut.
        """
        rows, columns, kept, added = self._stages(level)
        part = eye[rows, columns]
        seen = cv2.multiply(part, kept, dtype=cv2.CV_32F)
        part[:] = cv2.add(seen, added, dtype=cv2.CV_8U)

    def _skin_around(self) -> Array:
        """The skin's colour above and below the eye, continued over it: [h, w, C].

        A plane fit separates skin from hair, lashes and glasses; skin then spreads by normalised
        convolution (H. Knutsson, C.-F. Westin, 1993), so that a painted lid meets it seamlessly.
        """
        place = self._place
        above, under = place.above, place.under
        ring = ((above > SKIN_ABOVE[0]) & (above < SKIN_ABOVE[1])) | (
            (under > CHEEK[0]) & (under < CHEEK[1])
        )
        rows, columns = np.nonzero(ring & (self._fade > SAMPLED_FADE))
        colours = self._base[rows, columns].astype(np.float64)
        plane, kept = _fit_plane(rows, columns, colours)
        height, width = place.y.shape
        is_skin = np.zeros((height, width), np.uint8)
        is_skin[rows[kept], columns[kept]] = 255
        step = max(1, round(SKIN_SPREADS * self._width / SPREAD_PIXELS))
        size = (-(-width // step), -(-height // step))
        near, share = (
            gaussian_blur(
                cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32),
                SKIN_SPREADS * self._width / step,
            )
            for image in (cv2.bitwise_and(self._base, self._base, mask=is_skin), is_skin)
        )
        row, column = (
            (np.arange(few) + 0.5) * (many / few) - 0.5
            for few, many in zip(size[::-1], (height, width), strict=True)
        )
        painted = plane[0] + row[:, None, None] * plane[1] + column[:, None] * plane[2]
        mixed = (near + PLANE_SHARE * painted) / (share / 255 + PLANE_SHARE)[..., None]
        mixed = np.clip(mixed, 0, 255).astype(np.float32)
        whole = cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole, np.float32)

    @cached_property
    def _strip_colours(self) -> Array:
        """The colour of the lid above the lashes, continued down over the eye: [h, w, C].

        It varies along the lid only, and is that of the brighter pixels of each place: lashes and
        creases are darker lines.
        """
        above, x = self._place.above, self._place.x
        strip = (above > STRIP[0]) & (above < STRIP[1]) & (np.abs(x) < STRIP_ASIDE * self._width)
        at, colours = x[strip] / self._width, self._base[strip].astype(np.float64)
        middles = np.linspace(-STRIP_ASIDE, STRIP_ASIDE, STRIP_PLACES)
        bins = np.abs(at[:, None] - middles).argmin(1)
        found = np.full((STRIP_PLACES, colours.shape[1]), np.nan)
        for place in range(STRIP_PLACES):
            here = colours[bins == place]
            if len(here) >= STRIP_PIXELS:
                bright = here[:, :3] @ LUMA
                low, high = np.multiply(STRIP_BRIGHTNESS, len(here)).astype(int)
                found[place] = here[np.argsort(bright)[low : high + 1]].mean(0)
        if np.isnan(found).all():  # an eye of a few pixels
            found[:] = (colours if len(colours) else self._base.reshape(-1, found.shape[1])).mean(0)
        known = np.isfinite(found[:, 0])
        weights = np.exp(-(((middles[:, None] - middles[known]) / STRIP_SPREADS) ** 2) / 2)
        smooth = weights @ found[known] / weights.sum(1, keepdims=True)
        along = x / self._width
        return np.stack([np.interp(along, middles, c) for c in smooth.T], -1).astype(np.float32)

    def _fine_structure(self) -> Array:
        """The fine structure of the skin below, for the painted lid: [h, w, C]."""
        base = self._base.astype(np.float32)
        fine = base - gaussian_blur(base, max(1.0, GRAIN_BLUR * self._width))
        down = np.array([[1, 0, 0], [0, 1, -GRAIN_BELOW * self._width]])
        size = fine.shape[1::-1]
        moved = cv2.warpAffine(fine, down, size, borderMode=cv2.BORDER_REFLECT)
        return np.clip(moved, -MAX_GRAIN, MAX_GRAIN).astype(np.float32)

    def _make_stage(self, level: int) -> tuple[slice, slice, Array, Array]:
        """Rows and columns of the patch that a lid at one level changes, and how.

        An open eye's colours are multiplied by the third and added to the fourth, [h, w, C] each.
        """
        closed = level / LID_LEVELS
        place, y, width = self._place, self._place.y, self._width
        rim = place.floor + LOWER_RIM * width
        shut = place.edge + closed * (rim - place.edge) * self._fade
        soft = max(1.2, EDGE_SOFTNESS * width)
        is_open = np.clip(place.gap / (OPEN_GAP * width), 0, 1) * self._fade
        begins = smoothstep(place.above, LID_STARTS, LID_COVERS)
        opening = np.clip(np.minimum(y - place.lid, rim - y) / soft + 0.5, 0, 1)
        cover = np.maximum(begins * self._lid_taper, opening * is_open)
        cover *= np.clip((shut - y) / soft + 0.5, 0, 1)
        shade = self._lid_shade(cover, shut, is_open)
        # A dark rim, and lashes that stand out below it.
        thick = np.where(y > shut, LASH_BELOW, LASH_ABOVE) * width
        lashes = np.exp(-(((y - shut) / np.maximum(thick, 1.0)) ** 2)) * self._lash_taper
        lashes *= np.where(y > shut, self._bristle, 1.0)
        dark = 1 - LASH_DARK * min(2 * closed, 1) * lashes * is_open
        changes = np.maximum(cover, 1 - dark) > UNSEEN
        changes |= np.abs(closed * shade) > UNSEEN
        part = rows, columns = span_of(changes.any(1)), span_of(changes.any(0))
        light = (1 - closed * shade[part][..., None] * self._tint) * dark[part][..., None]
        cover = cover[part][..., None]
        added = self._drawn_down(shut, part) * cover * light
        return rows, columns, ((1 - cover) * light).astype(np.float32), added.astype(np.float32)

    def _drawn_down(self, shut: NDArray[np.floating], part: tuple[slice, slice]) -> Array:
        """The skin between brow and lashes, stretched down to where a lid ends, [h, w, C].

        Where that is hair, a crease or a rim, which differ from skin, it is the skin around.

        Args:
            shut: y of the lid's end, [H, W] of the patch.
            part: Rows and columns of the patch that are wanted.
        """
        place, shut = self._place, shut[part]
        y, edge, start = place.y[part], place.edge[part], place.top[part]
        top = start + DRAWN_FROM * (edge - start)
        photographed = edge - LASHES_ABOVE * self._width - top
        share = np.clip((y - top) / np.maximum(shut - top, 1.0), 0, 1)
        shift = np.where(y > top, top + share * photographed - y, 0)
        rows, columns = np.mgrid[part]
        own = cv2.remap(
            self._base,
            (columns + shift * place.down[0]).astype(np.float32),
            (rows + shift * place.down[1]).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ).astype(np.float32)
        skin = self._skin[part]
        unlike = own[..., :3] - skin[..., :3]
        unlike = np.where(unlike < 0, -DARKER_UNLIKE * unlike, unlike).max(-1, keepdims=True)
        taken = OWN_SKIN * (1 - smoothstep(unlike, *UNLIKE_SKIN))
        return (skin + (own - skin) * taken).astype(np.float32)

    def _lid_shade(
        self,
        cover: NDArray[np.floating],
        shut: NDArray[np.floating],
        is_open: NDArray[np.floating],
    ) -> NDArray[np.floating]:
        """Loss of light on a round lid, [h, w]: towards the lashes, in its crease, and below it."""
        place, y, width = self._place, self._place.y, self._width
        down = (y - place.edge) / np.maximum(shut - place.edge, 1.0)
        shade = LID_SHADE * cover * smoothstep(down, *LID_SHADED)
        fold = place.edge - CREASE_ABOVE * width
        crease = np.exp(-(((y - fold) / (CREASE_WIDTH * width)) ** 2)) * self._lash_taper
        below = np.exp(-np.clip(y - shut, 0, None) / (BELOW_FADE * width)) * (y > shut)
        shade += is_open * (CREASE_SHADE * crease + BELOW_SHADE * below)
        across = (1 - (2 * place.x / width) ** 2).clip(0)
        middle = np.exp(-(((down - ROUND_AT) / ROUND_SPREAD) ** 2)) * across
        shade -= ROUNDNESS * is_open * cover * middle
        return shade


def cheek_brightness(base: NDArray[np.uint8], place: LidGeometry) -> float:
    """Brightness of the skin below an eye, 0..255, in a patch around it."""
    under = place.under
    beside = np.abs(place.x) < CHEEK_ASIDE * place.width
    ring = (under > CHEEK[0]) & (under < CHEEK[1]) & beside
    bright = base[ring][:, :3] @ LUMA
    return max(float(np.median(bright)) if bright.size else 0.0, DARKEST_SKIN)


def has_rim(base: NDArray[np.uint8], place: LidGeometry) -> bool:
    """Whether a dark line crosses the way of the lid in a patch: with glasses, their rim."""
    luma = base[..., :3].astype(np.float32) @ LUMA
    size = max(3, round(RIM_THINNER_THAN * place.width)) | 1
    window = np.ones((size, 1), np.uint8)
    lines = cv2.morphologyEx(gaussian_blur(luma, RIM_BLUR), cv2.MORPH_BLACKHAT, window)
    in_the_way = place.above > LID_STARTS
    in_the_way &= place.y < place.edge - RIM_ABOVE_LASHES * place.width
    columns = np.abs(place.x).min(0) < RIM_ASIDE * place.width
    darkest = np.where(in_the_way, lines, 0).max(0)[columns]
    return bool(np.quantile(darkest, RIM_COLUMNS) > RIM * cheek_brightness(base, place))


def _fit_plane(
    rows: NDArray[np.int_], columns: NDArray[np.int_], colours: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Colour as a plane over the picture, [3, C], fitted without outliers; which are kept, [N]."""
    places = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float64)
    brightness = colours.mean(1)
    kept = np.ones(len(rows), bool)
    plane: NDArray[np.floating] = np.zeros((3, colours.shape[1]))
    for _ in range(FITS):
        own = places[kept]
        plane = np.linalg.lstsq(own.T @ own, own.T @ colours[kept], rcond=None)[0]
        off = brightness - places @ plane.mean(1)
        # Hair, lashes and rims are dark: the lower limit is the tighter one.
        spread = OUTLIERS * float(np.median(np.abs(off[kept])))
        kept = (off > -DARK_OUTLIER * spread) & (off < BRIGHT_OUTLIER * spread)
    return plane, kept
