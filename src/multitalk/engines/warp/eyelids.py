"""One eyelid: where it is around an eye, and how it is painted as it closes."""

from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.lashes import Lashes
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

LID_LEVELS = 8  # distinct stages of a blink
DARKEST_SKIN = 20.0  # of 255: below it nothing can be distinguished

# Lengths from here on are in eye widths, and set by eye, unless another unit or source is given.
SIDE_FADE, SHUT_OUTSIDE = (
    (-0.02, 0.16),
    0.09,
)  # beyond the corners; by so much more at the outer, when shut

# The skin's colour: where it is sampled (a share of the way from brow to lashes; above the lash
# line, below the eye, beside its corners), how sure it is to be skin, and how it spreads.
SKIN_FROM, SKIN_ABOVE_LASHES, BESIDE = 0.25, 0.03, (0.10, 0.30)
CHEEK, CHEEK_ASIDE = (0.11, 0.36), 0.4
FITS, FITTED_PIXELS = 3, 6000  # of skin's plane, each without the outliers of the previous one
OUTLIERS, DARK_OUTLIER, BRIGHT_OUTLIER = 1.5, 0.7, 2.0  # of the median deviation
IN_SHADE = 0.15  # by which skin is darker than the plane, of its brightness
WARMTH, LEAST_WARMTH = 0.75, 0.03  # red less blue as a share of all: of the median; seen at all
LINE_WIDTH, LINE_DARKNESS = 0.06, 0.05  # creases, lashes: thickness; of the skin's brightness
SKIN_SPREADS, NEAR_SPREADS = 0.22, 0.055  # standard deviations of the normalised convolutions
NEAR_SHARE, SPREAD_PIXELS = 12.0, 2.5  # nearer one: weight; deviation in the smaller picture
PLANE_SHARE = 0.03  # weight of the plane, where no skin is near
# Offset; blur; levels of 255: most, and of lines rather than grain (lower lashes, a fold below).
GRAIN_BELOW, GRAIN_BLUR, MAX_GRAIN, IS_LINE = 0.55, 0.025, 6.0, 7.0

# The strip of lid above the lashes, which covers the eye when it shuts: shares of the way from brow
# to lashes, places along it, the percentiles of brightness that are neither lash nor crease, and
# the smoothing of its colours.
STRIP, STRIP_ASIDE, STRIP_PLACES, STRIP_PIXELS = (0.38, 0.80), 0.5, 16, 3
STRIP_BRIGHTNESS, STRIP_SPREADS = (0.75, 0.97), 0.10
STRIP_IS_SHADE = 0.6  # share of its darkness that is shade on skin; the rest has its own hue
STRIP_FADE = (0.0, 0.12)  # below the lower lid's landmarks

# Painting a lid: what it covers above the lash line of the open eye, at first and by closing (an
# unfolding crease is softer), and where that ends; edges.
LID_FADES_IN = (0.25, 0.65)  # share of the way from brow to lashes
FROM_ABOVE, COVERED_FROM = (0.06, 0.32), (0.02, 0.11)  # when open, and more when half shut
EDGE_SOFTNESS, OPEN_GAP = 0.03, 0.08  # of a lid's edge; gap from which an eye counts as open
# Where the lids meet, on filmed blinks: a line from the inner corner down to this share of the
# lower lid's depth, lowest so far out (of the half width); at the outer corner up by a share of it.
MEETS_AT, MEETS_LOWEST, MEETS_OUTER = 0.90, 0.25, 0.50
LOWER_RISES, LOWER_ENDS = (0.4, 1.0), (0.05, 0.15)  # to meet it, by closing; below landmarks
# A lid that comes down unfolds its crease, a dark line above it: thickness; darkness, of the
# cheek's; where it is searched, share of the way from brow to lashes; how much of it goes.
CREASE_WIDTH, CREASE, CREASE_ABOVE, UNFOLDS = 0.26, (0.015, 0.06), (0.12, 0.34), 0.95
# What goes on to the brow is no crease: darkness, thickness of upright strands, what is around.
HAIR, HAIR_WIDTH, HAIR_TIPS = 0.06, 0.08, 0.14
NO_CREASE = (0.60, 0.78)  # as dark as rims and brows
# From the eye's centre; blur; between fold and lid, which is painted, too.
CREASE_ENDS, NEAR_FOLD, CREASE_SEAM = (0.45, 0.72), 0.02, 0.14
# The lid's shadow on the eye: loss of light at its edge, depth.
CAST, CAST_DEPTH = 0.45, 0.17
LID_SHADE, LID_SHADED = 0.07, (0.45, 1.1)  # towards the lashes; shares of the lid
ROUNDNESS, ROUND_AT, ROUND_SPREAD = 0.10, 0.42, 0.38  # gain in the middle of a shut lid; shares
TINT_LIMITS = (0.5, 1.5)  # of shade on a channel: skin in shade is redder
UNSEEN = 1 / 1024  # change of a colour's share that no pixel shows

# A dark line across the lid of somebody with glasses is their rim: darkness as a share of the
# cheek's brightness, quantile over the columns, thickness, margins.
RIM, RIM_COLUMNS, RIM_THINNER_THAN = 0.45, 0.3, 0.30
RIM_BLUR, RIM_ABOVE_LASHES, RIM_ASIDE = 0.5, 0.02, 0.42  # pixels; eye widths
RIM_NEAR, RIM_SEEN, RIM_MARGIN = 0.12, (0.22, 0.40), 0.04  # touches lashes; darkness; eye widths


class Lid:
    """The lid of one eye in the colour of the skin around it."""

    def __init__(
        self, base: NDArray[np.uint8], place: LidGeometry, rim: Array | None = None
    ) -> None:
        """Prepare to paint.

        Args:
            base: Patch of the picture around the eye, uint8 [h, w, C].
            place: Where its pixels are.
            rim: From `rim_of`, where there are glasses.
        """
        self._rim = rim
        self._base, self._place, self._width = base, place, place.width
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
        """Blend the lid's colour with that of the strip above the lashes, 0..1.

        As shade on skin and as make-up; less towards the lower border, which is skin below.
        """
        lid = 1 - smoothstep(self._place.under, *STRIP_FADE)
        rows = span_of(np.any((self._place.above > 0) & (lid > 0), axis=1))
        skin, strip = self._skin[rows] - self._grain[rows], self._strip_colours[rows]
        shade = (strip[..., :3] @ LUMA) / np.maximum(skin[..., :3] @ LUMA, 1.0)
        made_up = strip + STRIP_IS_SHADE * (skin * shade[..., None] - strip)
        weight = (share * lid[rows])[..., None].astype(np.float32)
        self._skin[rows] += weight * (made_up - skin)
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
        convolution (H. Knutsson, C.-F. Westin, 1993): a narrow one, so that a painted lid meets it
        seamlessly, and a wide one where that finds none.
        """
        rows, columns = np.nonzero(self._may_be_skin())
        colours = self._base[rows, columns].astype(np.float64)
        plane, kept = _fit_plane(rows, columns, colours)
        kept &= _is_warm(colours, kept)
        height, width = self._place.y.shape
        is_skin = np.zeros((height, width), np.uint8)
        is_skin[rows[kept], columns[kept]] = 255
        step = max(1, round(NEAR_SPREADS * self._width / SPREAD_PIXELS))
        size = (-(-width // step), -(-height // step))
        seen = cv2.bitwise_and(self._base, self._base, mask=is_skin)
        small = [
            cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
            for image in (seen, is_skin)
        ]
        (near, near_share), (far, far_share) = (
            [gaussian_blur(image, spread * self._width / step) for image in small]
            for spread in (NEAR_SPREADS, SKIN_SPREADS)
        )
        near, share = NEAR_SHARE * near + far, NEAR_SHARE * near_share + far_share
        row, column = (
            (np.arange(few) + 0.5) * (many / few) - 0.5
            for few, many in zip(size[::-1], (height, width), strict=True)
        )
        painted = plane[0] + row[:, None, None] * plane[1] + column[:, None] * plane[2]
        mixed = (near + PLANE_SHARE * painted) / (share / 255 + PLANE_SHARE)[..., None]
        mixed = np.clip(mixed, 0, 255).astype(np.float32)
        whole = cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole, np.float32)

    def _may_be_skin(self) -> NDArray[np.bool_]:
        """Where the patch shows skin around the eye, unless it is hair, [h, w].

        A black-hat filter leaves out creases and lashes, which are dark lines.
        """
        place, width, below = self._place, self._width, self._place.under
        may_be = (place.above > SKIN_FROM) & (below < CHEEK[1])
        aside = (np.abs(place.x) - place.half) / width
        is_off = (place.y < place.edge - SKIN_ABOVE_LASHES * width) | (below > CHEEK[0])
        may_be &= (is_off | (aside > BESIDE[0])) & (aside < BESIDE[1])
        luma = cv2.cvtColor(np.ascontiguousarray(self._base[..., :3]), cv2.COLOR_RGB2GRAY)
        window = np.ones((max(3, round(LINE_WIDTH * width)) | 1, 1), np.uint8)
        lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, window)
        clear = may_be & (lines < LINE_DARKNESS * cheek_brightness(self._base, place))
        return clear if clear.any() else may_be

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
        squared = np.square(moved / np.float32(IS_LINE))
        clipped = np.clip(moved, -MAX_GRAIN, MAX_GRAIN)
        return np.asarray(clipped / (1 + np.square(squared)), np.float32)

    def make_lashes(self) -> None:
        """Read the lashes now, rather than when the lid is first painted."""
        _ = self._lashes

    @cached_property
    def _lashes(self) -> Lashes:
        return Lashes(self._base, self._skin - self._grain, self._place)

    @cached_property
    def _meeting_line(self) -> Array:
        """The line of shut lids, y at each pixel, [h, w]."""
        place = self._place
        out = place.outward * place.x / place.half - MEETS_LOWEST
        up = np.where(
            out > 0, MEETS_OUTER * (out / (1 - MEETS_LOWEST)) ** 2, (out / (1 + MEETS_LOWEST)) ** 2
        )
        depth = MEETS_AT * float(np.where(place.gap > 0, place.floor, 0).max())
        return np.maximum(depth * (1 - up), self._lashes.edge).astype(np.float32)

    @cached_property
    def _ends(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Where the upper lid may cover, towards the brow, and the lower one, 0..1, [h, w] each."""
        place = self._place
        return smoothstep(place.above, *LID_FADES_IN), 1 - smoothstep(place.under, *LOWER_ENDS)

    @cached_property
    def _crease(self) -> tuple[Array, Array]:
        """Where the fold of skin above an open lid is, and where lids may cover, 0..1, [h, w]."""
        place, width = self._place, self._width
        lines = _dark_lines(self._base, place, CREASE_WIDTH)
        strands = _dark_lines(self._base, place, HAIR_WIDTH, upright=True)
        too_dark = smoothstep(lines, *NO_CREASE).astype(np.float32)
        around = np.ones((round(4 * NEAR_FOLD * width) | 1,) * 2, np.uint8)
        clear = (1 - np.asarray(cv2.dilate(too_dark, around), np.float32)) * (place.y < place.edge)
        fold = smoothstep(lines, *CREASE) * smoothstep(place.above, *CREASE_ABOVE)
        fold *= 1 - smoothstep(np.abs(place.x) / width, *CREASE_ENDS)
        tips = np.ones((round(HAIR_TIPS * width) | 1,) * 2, np.uint8)
        hair = cv2.dilate(_from_above((lines > HAIR) | (strands > HAIR), place), tips)
        fold, clear = fold * (1 - hair), clear * (1 - hair)
        fold = np.asarray(cv2.dilate(fold.astype(np.float32), around), np.float32)
        return gaussian_blur(fold, max(0.5, NEAR_FOLD * width)), clear

    @cached_property
    def _unfolded(self) -> Array:
        """The cover of the fold above a shut lid, and of what is between them, 0..1, [h, w]."""
        fold, clear = self._crease
        above = (self._place.y - self._place.edge) / self._width
        lid = smoothstep(above, -sum(FROM_ABOVE), -sum(COVERED_FROM)) * self._ends[0]
        cover = np.maximum(lid * (np.abs(self._place.x) < self._place.half), UNFOLDS * fold)
        column = np.ones((round(CREASE_SEAM * self._width) | 1, 1), np.uint8)
        closed = cv2.morphologyEx(cover.astype(np.float32), cv2.MORPH_CLOSE, column)
        return np.asarray(closed * clear, np.float32)

    def _make_stage(self, level: int) -> tuple[slice, slice, Array, Array]:
        """Rows and columns of the patch that a lid at one level changes, and how.

        An open eye's colours are multiplied by the third and added to the fourth, [h, w, C] each.
        """
        closed = level / LID_LEVELS
        place, y, width = self._place, self._place.y, self._width
        meet = self._meeting_line
        shut = self._lashes.edge + closed * (meet - self._lashes.edge)
        soft = max(1.5, EDGE_SOFTNESS * width)
        half = min(2 * closed, 1)
        starts, covers = (float(np.dot(share, (1, half))) for share in (FROM_ABOVE, COVERED_FROM))
        upper = smoothstep((y - place.edge) / width, -starts, -covers)
        upper *= self._ends[0]
        below = y - shut
        uncovered = np.clip(below / soft + 0.5, 0, 1)
        upper *= 1 - uncovered
        rises = float(smoothstep(np.asarray(closed), *LOWER_RISES))
        lower = self._lower(rises, meet, soft) if rises else np.zeros((), np.float32)
        aside = (np.abs(place.x) - place.half) / width
        aside -= rises * SHUT_OUTSIDE * (place.x * place.outward > 0)
        fade = 1 - smoothstep(aside, *SIDE_FADE)
        cover = np.maximum(np.minimum(upper + lower, 1) * fade, self._lashes.cover)
        cover = np.maximum(cover, half * self._unfolded)
        cast = CAST * half * np.clip(1 - below / (CAST_DEPTH * width), 0, 1) ** 2
        cast *= uncovered * self._in_eye
        lashes = np.maximum(self._lashes.carried(shut, closed), cast * (1 - lower) * fade)
        if self._rim is not None:
            cover, lashes = cover * (1 - self._rim), lashes * (1 - self._rim)
        shade = closed * self._lid_shade(upper * fade, shut)
        changes = np.maximum(cover, lashes) > UNSEEN
        rows, columns = part = span_of(np.any(changes, axis=1)), span_of(np.any(changes, axis=0))
        light = 1 - shade[part][..., None] * self._tint
        light *= 1 - lashes[part][..., None] * self._lashes.tint
        cover = cover[part][..., None]
        added = self._skin[part] * cover * light
        return rows, columns, ((1 - cover) * light).astype(np.float32), added.astype(np.float32)

    @cached_property
    def _is_open(self) -> NDArray[np.floating]:
        """Whether the photographed eye is open, along it, 0..1, [h, w]."""
        return np.clip(self._place.gap / (OPEN_GAP * self._width), 0, 1)

    @cached_property
    def _in_eye(self) -> NDArray[np.floating]:
        """Whether a pixel is above the lower lid of an open eye, 0..1, [h, w]."""
        return self._is_open * (self._place.y < self._place.floor)

    def _lower(self, rises: float, meet: Array, soft: float) -> NDArray[np.floating]:
        """The cover of a lower lid that has come up by a share of its way, 0..1, [h, w].

        In the eye it is skin, as the upper one; the photographed lid below changes bit by bit.
        """
        y, floor = self._place.y, self._place.floor
        rim = floor - rises * (floor - meet)
        opaque = rises + (1 - rises) * np.clip((floor - np.maximum(y, rim)) / soft, 0, 1)
        return np.asarray(opaque * np.clip((y - rim) / soft + 0.5, 0, 1) * self._ends[1])

    def _lid_shade(
        self, cover: NDArray[np.floating], shut: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Loss of light on a round lid, [h, w]: none in its middle, most at the lashes."""
        place, y = self._place, self._place.y
        down = (y - place.edge) / np.maximum(shut - place.edge, 1.0)
        across = (1 - (2 * place.x / self._width) ** 2).clip(0)
        middle = np.exp(-(((down - ROUND_AT) / ROUND_SPREAD) ** 2)) * across
        return (
            cover * self._is_open * (LID_SHADE * smoothstep(down, *LID_SHADED) - ROUNDNESS * middle)
        )


def cheek_brightness(base: NDArray[np.uint8], place: LidGeometry) -> float:
    """Brightness of the skin below an eye, 0..255, in a patch around it."""
    under = place.under
    beside = np.abs(place.x) < CHEEK_ASIDE * place.width
    ring = (under > CHEEK[0]) & (under < CHEEK[1]) & beside
    bright = base[ring][:, :3] @ LUMA
    return max(float(np.median(bright)) if bright.size else 0.0, DARKEST_SKIN)


def has_rim(base: NDArray[np.uint8], place: LidGeometry) -> bool:
    """Whether a dark line is close above the lashes in a patch: with glasses, their rim."""
    near = place.y > place.edge - RIM_NEAR * place.width
    near &= place.y < place.edge - RIM_ABOVE_LASHES * place.width
    columns = np.abs(place.x).min(0) < RIM_ASIDE * place.width
    darkest = np.where(near, _dark_lines(base, place), 0).max(0)[columns]
    return bool(np.quantile(darkest, RIM_COLUMNS) > RIM)


def rim_of(base: NDArray[np.uint8], place: LidGeometry) -> Array:
    """Where a patch shows the rim of glasses, which lids pass behind, 0..1, [h, w]."""
    apart = (place.y < place.edge - RIM_NEAR * place.width) | (place.under > CHEEK[0])
    dark = apart * smoothstep(_dark_lines(base, place), *RIM_SEEN)
    wide = max(1, round(RIM_MARGIN * place.width)) | 1
    dark = cv2.dilate(dark.astype(np.float32), np.ones((wide, wide), np.uint8))
    return gaussian_blur(np.asarray(dark, np.float32), RIM_MARGIN * place.width / 2)


def _dark_lines(
    base: NDArray[np.uint8],
    place: LidGeometry,
    thinner_than: float = RIM_THINNER_THAN,
    *,
    upright: bool = False,
) -> Array:
    """Darkness of what is thinner than so many eye widths, of the cheek's brightness, [h, w]."""
    luma = base[..., :3].astype(np.float32) @ LUMA
    size = max(3, round(thinner_than * place.width)) | 1
    window = np.ones((1, size) if upright else (size, 1), np.uint8)
    lines = cv2.morphologyEx(gaussian_blur(luma, RIM_BLUR), cv2.MORPH_BLACKHAT, window)
    return np.asarray(lines / cheek_brightness(base, place), np.float32)


def _from_above(dark: NDArray[np.bool_], place: LidGeometry) -> Array:
    """Which dark pixels above an eye are hair or brow, 0 or 1, [h, w]: they go on to the brow."""
    above = place.above
    near = dark & (above > 0) & (place.y < place.edge)
    _, labels = cv2.connectedComponents(near.astype(np.uint8))
    from_brow = np.unique(labels[near & (above < CREASE_ABOVE[0])])
    return np.isin(labels, from_brow[from_brow > 0]).astype(np.float32)


def _is_warm(colours: NDArray[np.float64], skin: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether colours [N, C] have most of the warmth of those that are likely skin, [N].

    The penumbra of lashes and a brow's thin hair are as bright as skin in shade, but greyer.
    """
    warmth = (colours[:, 0] - colours[:, 2]) / np.maximum(colours[:, :3].sum(1), 1.0)
    usual = float(np.median(warmth[skin])) if skin.any() else 0.0
    return np.asarray(warmth > WARMTH * usual) if usual > LEAST_WARMTH else np.ones_like(skin)


def _fit_plane(
    rows: NDArray[np.int_], columns: NDArray[np.int_], colours: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Colour as a plane over the picture, [3, C], fitted without outliers; which are kept, [N].

    Of many pixels some thousands, evenly, are enough for the fit.
    """
    places = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float64)
    brightness = colours.mean(1)
    some = slice(None, None, -(-len(rows) // FITTED_PIXELS) or 1)
    kept = np.ones(len(places[some]), bool)
    plane: NDArray[np.floating] = np.zeros((3, colours.shape[1]))
    for _ in range(FITS):
        own = places[some][kept]
        plane = np.linalg.lstsq(own.T @ own, own.T @ colours[some][kept], rcond=None)[0]
        off = brightness[some] - places[some] @ plane.mean(1)
        spread = OUTLIERS * float(np.median(np.abs(off[kept])))
        kept = _is_near(brightness[some], places[some] @ plane.mean(1), spread)
    return plane, _is_near(brightness, places @ plane.mean(1), spread)


def _is_near(
    brightness: NDArray[np.floating], expected: NDArray[np.floating], spread: float
) -> NDArray[np.bool_]:
    """Whether brightness is no outlier.

    Hair, lashes and rims are dark: the lower limit is the tighter one. Shade is not as dark.
    """
    off = brightness - expected
    return np.asarray(
        (off > -np.maximum(DARK_OUTLIER * spread, IN_SHADE * expected))
        & (off < np.maximum(BRIGHT_OUTLIER * spread, IN_SHADE * expected))
    )
