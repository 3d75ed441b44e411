"""One eyelid: where it is around an eye, and how it is painted as it closes."""

from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, in_channels
from multitalk.engines.warp.lashes import Lashes
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.lid_skin import CHEEK, LidSkin, cheek_brightness
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, push_pull, smoothstep

LID_LEVELS = 8  # distinct stages of a blink

# Lengths from here on are in eye widths, and set by eye, unless another unit or source is given.
SIDE_FADE, SHUT_OUTSIDE = (
    (-0.02, 0.16),
    0.09,
)  # beyond the corners; by so much more at the outer, when shut

# Painting a lid: where it begins (share of the way from brow to lashes), what is not taken from the
# photograph (around lashes: beyond them, blur; above the edge); where hair in its way is covered.
LID_FADES_IN = (0.08, 0.26)
PENUMBRA, NEAR_EDGE, HAIR_COVERED = (0.05, 0.025), (0.01, 0.04), (0.10, 0.22)
EDGE_SOFTNESS = 0.75  # of a lid's edge, of the eye's own
OPEN_GAP = 0.08  # from which an eye counts as open
# Where the lids meet, on filmed blinks: a line from the inner corner down to this share of the
# lower lid's depth, lowest so far out (of the half width); at the outer corner up by a share of it.
MEETS_AT, MEETS_LOWEST, MEETS_OUTER = 0.90, 0.25, 0.50
# Beside the outer corner skin does not move: what lids uncover there is continued from around it.
# Where that begins, of the half width; from which cover on what is there is not skin; how far
# around that, and around the eye.
BESIDE, IS_REMOVED, AROUND_REMOVED, AROUND_EYE = (0.62, 1.08), (0.05, 0.40), 0.05, 0.04
# Lashes that hang below a nearly shut eye: loss of light; where they end below it.
HANGING, HANGING_ENDS = (0.08, 0.20), (0.12, 0.22)
LOWER_RISES, LOWER_ENDS = (0.4, 1.0), (0.05, 0.15)  # to meet it, by closing; below landmarks
FILL_STEP = 4  # pixels from one computed place of that to the next
TAILS_GO = (0.95, 1.35), (0.0, 0.08)  # soon: outwards, of the half width; above the edge
UPRIGHT = (0.040, 0.060)  # lines: standard deviations across and along them
# A lid that comes down unfolds its crease, a dark line above it: thickness; darkness, of the
# cheek's; where it is searched, share of the way from brow to lashes; how much of it goes.
CREASE_WIDTH, CREASE, CREASE_ABOVE, UNFOLDS = 0.12, (0.02, 0.08), (0.12, 0.34), 0.60
# Hair that hangs over a lid stays: darkness, thickness of upright strands, which begin at the brow
# and go on so far (shares of the way to the lashes); what is around; how softly it ends.
HAIR, HAIR_WIDTH, HANGS = 0.06, 0.08, (0.12, 0.38)
HAIR_TIPS, HAIR_SOFT = 0.14, 0.03
LOCK_WIDTH, LOCK = 0.26, (0.60, 0.78)  # so do locks and rims: thickness, darkness
CREASE_ENDS = (0.45, 0.72)  # from the eye's centre
NEAR_FOLD, FOLD_SOFT = 0.08, 0.045  # around it; blur
# The lid's shadow on the eye: loss of light at its edge, depth.
CAST, CAST_DEPTH = 0.45, 0.17
LID_SHADE, LID_SHADED = 0.07, (0.45, 1.1)  # towards the lashes; shares of the lid
CORNER_SHADE = 0.09  # where a shut lid turns away at the corners
# Gain in the middle of a shut lid, shares of its height; how narrow that is, an exponent.
ROUNDNESS, ROUND_AT, ROUND_SPREAD, ROUND_ACROSS = 0.13, 0.48, 0.36, 1.5
TINT_LIMITS = (0.5, 1.5)  # of shade on a channel: skin in shade is redder
UNSEEN = 1 / 1024  # change of a colour's share that no pixel shows

# A dark line across the lid of somebody with glasses is their rim: darkness as a share of the
# cheek's brightness, quantiles over the columns, thickness, margins.
RIM, RIM_COLUMNS, RIM_ALL_ALONG, RIM_THINNER_THAN = 0.45, 0.3, 0.1, 0.30
RIM_BLUR, RIM_ABOVE_LASHES, RIM_ASIDE = 0.5, 0.02, 0.42  # pixels; eye widths
RIM_NEAR, RIM_SEEN, RIM_MARGIN = 0.12, (0.22, 0.40), 0.04  # touches lashes; darkness; eye widths


class Lid:
    """The lid of one eye."""

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
        self._skin = LidSkin(base, place)
        colour = np.array(cv2.mean(self._skin.around)[: base.shape[2]], np.float32)
        self._tint = np.clip(2 - colour / max(float(colour[:3].mean()), 1.0), *TINT_LIMITS)
        self._stages = lru_cache(maxsize=LID_LEVELS + 1)(self._make_stage)

    def paint(self, eye: NDArray[np.uint8], level: int) -> None:
        """Paint the lid over an open eye, in place.

        Args:
            eye: Of the size of the patch; a fourth channel that the patch has not stays.
            level: 1 .. LID_LEVELS, where it is shut.
        """
        rows, columns, kept, added = self._stages(level)
        part, count = eye[rows, columns], kept.shape[2]
        seen = cv2.multiply(np.ascontiguousarray(part[..., :count]), kept, dtype=cv2.CV_32F)
        drawn = cv2.add(seen, added, dtype=cv2.CV_8U)
        cv2.mixChannels([drawn], [part], [place for each in range(count) for place in (each, each)])

    def make_lashes(self) -> None:
        """Read the lashes now, rather than when the lid is first painted."""
        _ = self._lashes

    @cached_property
    def _lashes(self) -> Lashes:
        return Lashes(self._base, self._skin.around, self._place)

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
        hair = smoothstep((place.edge - place.y) / self._width, *HAIR_COVERED)
        upper = smoothstep(place.above, *LID_FADES_IN) * (1 - hair * (1 - self._crease[1]))
        return upper, 1 - smoothstep(place.under, *LOWER_ENDS)

    @cached_property
    def _crease(self) -> tuple[Array, Array]:
        """Where the fold of skin above an open lid is, and where lids may cover, 0..1, [h, w]."""
        place, width = self._place, self._width
        lines = _dark_lines(self._base, place, CREASE_WIDTH)
        strands = _dark_lines(self._base, place, HAIR_WIDTH, upright=True)
        locks = smoothstep(_dark_lines(self._base, place, LOCK_WIDTH), *LOCK)
        in_front = np.maximum(locks, _hanging(strands > HAIR, place))
        tips = np.ones((round(HAIR_TIPS * width) | 1,) * 2, np.uint8)
        hair = cv2.dilate(in_front.astype(np.float32), tips)
        hair = gaussian_blur(np.asarray(hair, np.float32), max(0.5, HAIR_SOFT * width))
        fold = smoothstep(lines, *CREASE) * smoothstep(place.above, *CREASE_ABOVE)
        fold *= 1 - smoothstep(np.abs(place.x) / width, *CREASE_ENDS)
        near = np.ones((round(NEAR_FOLD * width) | 1,) * 2, np.uint8)
        fold = np.asarray(cv2.dilate((fold * (1 - hair)).astype(np.float32), near), np.float32)
        clear = np.where(place.y < place.edge, 1 - hair, 0).astype(np.float32)
        return gaussian_blur(fold, max(0.5, FOLD_SOFT * width)), clear

    @cached_property
    def _photographed(self) -> Array:
        """Where the photograph shows the skin of the lid, and nothing before it, 0..1, [h, w]."""
        place, width = self._place, self._width
        beyond, blur = PENUMBRA
        window = np.ones((round(beyond * width) | 1,) * 2, np.uint8)
        lashes = gaussian_blur(
            np.asarray(cv2.dilate(self._lashes.removed, window), np.float32), blur * width
        )
        above = smoothstep((self._lashes.edge - place.y) / width, *NEAR_EDGE)
        return np.asarray((1 - lashes) * above * self._crease[1], np.float32)

    @cached_property
    def _sources(self) -> tuple[Array, Array]:
        """The skin that is drawn down, with its crease and with a softer one, [h, w, C] each.

        Of the softer one's lines those that are upright are gone: tips of lashes, and the edge of
        what these hid, would be drawn out into streaks. Its grain is added after it is drawn down.
        """
        seen, fold = self._photographed, UNFOLDS * self._crease[0]
        smooth = self._skin.above(self._lashes.removed)
        off = self._base - smooth
        creased, soft = (
            np.asarray(off * in_channels(one, off.shape[2]), np.float32)
            for one in (seen, seen * (1 - fold))
        )
        along, down = (
            np.maximum(np.abs(axis) * length * self._width, 0.3).tolist()
            for axis, length in zip(self._place.axes, UPRIGHT, strict=True)
        )
        lines = cv2.GaussianBlur(soft, (0, 0), sigmaX=down[0], sigmaY=down[1])
        soft -= lines - cv2.GaussianBlur(lines, (0, 0), sigmaX=along[0], sigmaY=along[1])
        creased += self._skin.grain * in_channels(1 - seen, off.shape[2])
        return (smooth + creased).astype(np.float32), (smooth + soft).astype(np.float32)

    def _drawn_down(self, closed: float, shut: Array, part: tuple[slice, slice]) -> Array:
        """The skin of a lid whose edge has come down to `shut`, of a part, [h, w, C]."""
        creased, soft = self._sources
        half = min(2 * closed, 1)
        source = soft if half == 1 else cv2.addWeighted(creased, 1 - half, soft, half, 0)
        drawn = self._skin.drawn_down(np.asarray(source), shut, self._lashes.edge, part)
        drawn += half * self._skin.grain[part]
        return self._skin.evened(drawn, shut, self._lashes.edge, closed, part)

    def _make_stage(self, level: int) -> tuple[slice, slice, Array, Array]:
        """Rows and columns of the patch that a lid at one level changes, and how.

        An open eye's colours are multiplied by the third and added to the fourth, [h, w, C] each.
        """
        closed = level / LID_LEVELS
        place, y, width = self._place, self._place.y, self._width
        meet = self._meeting_line
        shut = self._lashes.edge + closed * (meet - self._lashes.edge)
        soft = max(1.5, EDGE_SOFTNESS * self._lashes.softness * width)
        half = min(2 * closed, 1)
        below = y - shut
        uncovered = np.clip(below / soft + 0.5, 0, 1)
        upper = self._ends[0] * (1 - uncovered)
        rises = float(smoothstep(np.asarray(closed), *LOWER_RISES))
        lower = self._lower(rises, meet, soft) if rises else np.zeros((), np.float32)
        aside = (np.abs(place.x) - place.half) / width
        aside -= rises * SHUT_OUTSIDE * (place.x * place.outward > 0)
        fade = 1 - smoothstep(aside, *SIDE_FADE)
        tails = rises + self._soon * (half - rises)
        bare = np.maximum(self._lashes.cover, tails * self._lashes.tails)
        cover = np.maximum(np.minimum(upper + lower, 1) * fade, bare)
        cast = CAST * half * np.clip(1 - below / (CAST_DEPTH * width), 0, 1) ** 2
        cast *= uncovered * self._in_eye
        lashes = np.maximum(self._lashes.carried(shut, closed), cast * (1 - lower) * fade)
        if self._rim is not None:
            cover, lashes = cover * (1 - self._rim), lashes * (1 - self._rim)
        changes = np.maximum(cover, lashes) > UNSEEN
        rows, columns = part = span_of(np.any(changes, axis=1)), span_of(np.any(changes, axis=0))
        shade = closed * self._lid_shade(upper * fade, shut, part)
        light = 1 - in_channels(shade, self._tint)
        light *= 1 - in_channels(lashes[part], self._lashes.tint)
        skin = self._drawn_down(closed, shut, part)
        cover, uncovered, beyond = (
            in_channels(one, skin.shape[2])
            for one in (
                cover[part],
                uncovered[part],
                smoothstep(place.outward * place.x[part] / place.half, *BESIDE),
            )
        )
        skin += uncovered * (self._lower_skin[part] - skin)
        skin += beyond * (self.without_eye[part] - skin)
        added = skin * cover * light
        return rows, columns, (1 - cover) * light, added

    @cached_property
    def _soon(self) -> NDArray[np.floating]:
        """Where tails of lashes go early: away from the open eye, 0..1, [h, w]."""
        place = self._place
        out = smoothstep(place.outward * place.x / place.half, *TAILS_GO[0])
        return np.maximum(
            out, smoothstep((self._lashes.edge - place.y) / self._width, *TAILS_GO[1])
        )

    @cached_property
    def _lower_skin(self) -> Array:
        return self._skin.around + self._skin.grain

    @cached_property
    def without_eye(self) -> Array:
        """The photograph, its skin continued over the eye and its lashes, float32 [h, w, C]."""
        place, width = self._place, self._width
        in_eye = (place.y > self._lashes.edge) & (place.y < place.floor + AROUND_EYE * width)
        in_eye &= np.abs(place.x) < place.half + AROUND_EYE * width
        covered = np.maximum(smoothstep(self._lashes.removed, *IS_REMOVED), in_eye)
        light = self._base[..., :3] @ LUMA / np.maximum(self._skin.below[..., :3] @ LUMA, 1)
        hanging = smoothstep(1 - light, *HANGING)
        hanging *= (place.under > 0) & (np.abs(place.x) < place.half + AROUND_EYE * width)
        covered = np.maximum(covered, hanging * (1 - smoothstep(place.under, *HANGING_ENDS)))
        window = np.ones((round(AROUND_REMOVED * width) | 1,) * 2, np.uint8)
        covered = cv2.dilate(covered.astype(np.float32), window)
        known = 1 - gaussian_blur(np.asarray(covered, np.float32), AROUND_REMOVED * width / 2)
        base = self._base.astype(np.float32)
        size = (-(-known.shape[1] // FILL_STEP), -(-known.shape[0] // FILL_STEP))
        colours, share = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
            for one in (base * known[..., None], known)
        )
        filled = self._skin.grain + cv2.resize(push_pull(colours, share), known.shape[::-1])
        return np.asarray(filled + known[..., None] * (base - filled), np.float32)

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
        self,
        cover: NDArray[np.floating],
        shut: NDArray[np.floating],
        part: tuple[slice, slice],
    ) -> NDArray[np.floating]:
        """Loss of light on a part of a round lid, [rows, columns]: most at the lashes.

        `cover` and `shut` are of the whole patch, [h, w].
        """
        x, y, edge, shut, cover = (
            one[part] for one in (self._place.x, self._place.y, self._place.edge, shut, cover)
        )
        down = (y - edge) / np.maximum(shut - edge, 1.0)
        across = (1 - (2 * x / self._width) ** 2).clip(0)
        middle = np.exp(-(((down - ROUND_AT) / ROUND_SPREAD) ** 2)) * across**ROUND_ACROSS
        shade = LID_SHADE * smoothstep(down, *LID_SHADED) - ROUNDNESS * middle
        shade += CORNER_SHADE * smoothstep(down, -0.5, 0.6) * (1 - across)
        return cover * self._is_open[part] * shade


def has_rim(base: NDArray[np.uint8], place: LidGeometry) -> bool:
    """Whether the rim of glasses touches the lashes in a patch, which shows some.

    A dark line is close above the lid's edge, and no other one above it, all along: then that one
    would be the rim, and the lower one are thick lashes, or liner.
    """
    lines, from_edge = _dark_lines(base, place), place.edge - place.y
    near = (from_edge < RIM_NEAR * place.width) & (from_edge > RIM_ABOVE_LASHES * place.width)
    higher = (from_edge >= RIM_NEAR * place.width) & (place.y > place.top)
    columns = np.abs(place.x).min(0) < RIM_ASIDE * place.width
    touching, apart = (np.where(where, lines, 0).max(0)[columns] for where in (near, higher))
    is_apart = np.quantile(apart, RIM_ALL_ALONG) > RIM
    return bool(np.quantile(touching, RIM_COLUMNS) > RIM and not is_apart)


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


def _hanging(dark: NDArray[np.bool_], place: LidGeometry) -> Array:
    """Which dark pixels above an eye are hair that hangs from the brow, 0 or 1, [h, w]."""
    above = place.above
    near = dark & (above > 0) & (place.y < place.edge)
    _, labels = cv2.connectedComponents(near.astype(np.uint8))
    (start, end), found = HANGS, np.zeros(int(labels.max()) + 1, bool)
    found[np.intersect1d(labels[near & (above < start)], labels[near & (above > end)])] = True
    return np.asarray(found[labels] & near, np.float32)
