"""Lashes and liner of an upper lid, read from the photograph and carried by the lid's edge.

An open eye's lashes are seen above the edge of its lid. As it comes down they turn over, until
they hang below the line of shut lids.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Lengths are in eye widths, and set by eye on filmed blinks, unless another unit is given.
HEIGHT, ASIDE = 0.27, 0.36  # of what is read: above the edge, beyond the corners
# Where it fades: above, higher towards the outer corner (shares of the half width), and beyond the
# outer and the inner corner.
ENDS_ABOVE, OUTER_LONGER, OUTER = (0.10, 0.19), 0.07, (-0.2, 0.5)
ENDS_OUTSIDE, ENDS_INSIDE = (0.12, 0.34), (-0.10, 0.02)
DARK, DARKEST = (0.08, 0.28), 0.84  # loss of light: from which it is a lash; most
# The lid's edge, where it is darkest: searched above its landmarks, and smoothed along the lid.
# There the white of the eye below separates it from the iris: brightness, a share of the skin's.
ROOTS, ROOTS_SPREAD, WHITE_BELOW, WHITE = 0.08, 0.08, 0.05, (0.35, 0.9)
OUTER_SLOPE, BARE = 0.40, (0.08, 0.20)  # of the edge beyond the outer corner; skin is seen there
HAIR_WIDTH, ATTACHED = 0.05, 1.35  # lashes end where the darkness of so many does; slack
OUTER_SOFT, OUTER_SOFTENS = (0.12, 0.025), (0.50, 0.95)  # blur along, across; where (half widths)
# Beyond the outer corner (of the half width) what is uncovered ends softly: by so much more; blur.
OUTSIDE, AROUND = (0.94, 1.06), (0.10, 0.04)
# What is left of an open eye beside its outer corner, once lids are shut: the tails of its lashes,
# dark, and its white and wet rim, bright. Thickness; difference, of the skin's brightness. Around a
# point outside the corner, and above it: reach aside and in height, and where that ends, of it.
TAIL_WIDTH, TAIL, WET_WIDTH, WET = 0.20, (0.05, 0.16), 0.10, (0.03, 0.10)
TAILS_AT, TAILS_REACH, TAILS_END, TAILS_AROUND = (0.05, 0.00), (0.34, 0.24), (0.65, 1.0), 0.05
# How much lashes darken an open eye, their loss of light times their height: little, and much.
FEW, MANY, MEASURED = 0.004, 0.018, 0.85  # eye widths; up to so far out (of the half width)
# The line of shut lids is as dark as the roots of the lashes (median along the lid): so it is on
# films of the same people. Share of that, by which they agree; limits. With few lashes and with
# many, the distances over which it falls above, by exp(-d^1.5), and thins out below, by 1 - d^1.3;
# how they change along the lid: so it is on films, too. Its share at the inner corner; where it
# ends, of the half width.
LINE_SHARE, LINE = 1.08, (0.36, 0.86)
LINE_ABOVE, LINE_BELOW = (0.042, 0.070), (0.085, 0.165)
FALLS, THINS, ABOVE_ENDS = 1.5, 1.3, 2.5
LENGTH_AT, LENGTHS = (-1.0, -0.4, 0.1, 0.5, 0.9, 1.15), (0.60, 0.80, 0.95, 1.20, 1.10, 0.60)
INNER_SHARE, INNER = 0.70, (-1.0, 0.0)
INNER_ENDS, OUTER_ENDS = (0.90, 1.13), ((0.78, 1.14), (0.84, 1.33))  # few, many
# How soft the picture of an eye is, eye widths: its range of light (quantiles) by its steepest
# slope; limits, of which the lower one is in the line as it is. 2.5 deviations of a blurred edge.
RANGE, STEEPEST, SOFTNESS, PER_DEVIATION = (0.03, 0.97), 0.98, (0.040, 0.110), 2.5
# Distances of its tufts and hairs, how uneven, their slant outwards.
HAIRS, UNEVEN, SLANT = (0.131, 0.083, 0.057, 0.037), 0.17, 0.8
APPEARS, TURNS_OVER = (0.0, 0.5), (0.2, 0.8)  # by closing: that line; lashes above it go
LEAST_BLUR, MIN_SIDE = 0.3, 3  # pixels
OPEN_GAP = 0.08  # from which an eye counts as open
ABOVE_TURNED = 0.35  # height of photographed lashes of a shut lid, of the photographed
TINT_LIMITS = (0.85, 1.15)  # of their loss of light in each channel: they are brown, or black


class Lashes:
    """Loss of light by the lashes of one eye, along its lid and up from the lid's edge.

    Attributes:
        edge: y of the lid's edge in the photograph, float32 [h, w].
        tint: Their loss of light in each channel, as a share of the mean one, [C].
        cover: Where a lid that moves uncovers the skin under photographed lashes, 0..1, [h, w].
        tails: Where lids that are shut cover what else is left at the outer corner, 0..1, [h, w].
        removed: Either of the two, 0..1, [h, w].
        softness: Of the sharpest edges of the eye, eye widths.
    """

    def __init__(self, base: NDArray[np.uint8], skin: Array, place: LidGeometry) -> None:
        """Read the lashes.

        Args:
            base: Patch of the picture around the eye, uint8 [h, w, C].
            skin: As it would be without them, float32 [h, w, C].
            place: Where its pixels are.
        """
        self._place, self._width = place, place.width
        self._start = -np.float32(place.half + ASIDE * self._width)
        x = np.arange(self._start, -self._start + 1, dtype=np.float32)
        above = np.arange(max(3, round(HEIGHT * self._width)), dtype=np.float32)[:, None]
        outside = (np.abs(x) - place.half) / self._width
        is_outer = x * place.outward > 0
        photo, bare = self._strips(base, skin, x, above)
        raised = self._raised(_light(photo, bare), x, base, skin)
        raised -= OUTER_SLOPE * self._width * np.clip(outside, 0, None) * is_outer
        photo, bare = self._strips(base, skin, x, above + raised)
        outer = smoothstep(x * place.outward / place.half, *OUTER)
        loss = self._loss(_light(photo, bare), outer)
        attached = np.minimum(ATTACHED * self._attached(loss) / np.maximum(loss, 1e-3), 1)
        ends = 1 - np.where(
            is_outer, smoothstep(outside, *ENDS_OUTSIDE), smoothstep(outside, *ENDS_INSIDE)
        )
        share = smoothstep(loss, *DARK) * attached * ends
        height = above / self._width - OUTER_LONGER * outer
        share = share * (1 - smoothstep(height, *ENDS_ABOVE))
        share = share.astype(np.float32)
        self._seen = self._without_end(np.asarray(loss * share, np.float32), x * place.outward)
        self.tint = _tint(photo, bare, self._seen)
        is_open = float(np.clip(place.gap.max() / (OPEN_GAP * self._width), 0, 1))
        out = x * place.outward / place.half
        many = _many(self._seen, out, self._width)
        self._over = round(ABOVE_ENDS * LINE_ABOVE[1] * max(LENGTHS) * self._width) + 1
        lowest = round((1 + UNEVEN) * LINE_BELOW[1] * max(LENGTHS) * self._width) + 1
        rows = np.arange(-self._over, lowest + 1, dtype=np.float32)[:, None]
        dark = _darkness(self._seen, out)
        line = is_open * dark * _shut_line(rows / self._width, x / self._width, out, many)
        self.softness = _softness(base, place)
        blur = np.sqrt(self.softness**2 - SOFTNESS[0] ** 2) / PER_DEVIATION * self._width
        self._line = gaussian_blur(line, blur) if blur > LEAST_BLUR else line
        out = place.x * place.outward / place.half
        columns = np.clip(place.x - self._start, 0, len(x) - 1)
        self.edge = (place.lid - np.interp(columns, np.arange(len(x)), raised)).astype(np.float32)
        off = self.edge - place.y
        cover = np.where(off >= 0, self._sampled(share, off), 0).astype(np.float32)
        self.cover = np.maximum(cover, self._around(cover) * smoothstep(out, *OUTSIDE))
        self.tails = is_open * _tails(base, skin, place)
        self.removed = np.maximum(self.cover, self.tails)

    def carried(self, edge: Array, closed: float) -> Array:
        """Loss of light by the lashes of a lid that has come down, 0..1, [h, w].

        Args:
            edge: y of the lid's edge, [h, w].
            closed: Share of its way, 0..1.
        """
        off = edge - self._place.y
        turned = float(smoothstep(np.asarray(closed), *TURNS_OVER))
        height = 1 + turned * (ABOVE_TURNED - 1)
        above = np.where(off >= 0, off / height, -2 * off)
        seen = (1 - turned) * self._sampled(self._seen, above)
        line = self._sampled(self._line, self._over - off)
        return np.maximum(seen, np.float32(smoothstep(np.asarray(closed), *APPEARS)) * line)

    def _strips(
        self, base: NDArray[np.uint8], skin: Array, x: Array, above: Array
    ) -> tuple[Array, Array]:
        """Picture and skin at heights above the lid's landmarks [N, M or 1]: [N, M, C] each."""
        place = self._place
        (right, down), (x0, y0) = place.axes, place.centre
        on_axis = [
            (start + x * step)[None].astype(np.float32)
            for start, step in zip((x0, y0), right, strict=True)
        ]
        lid = cv2.remap(
            place.lid, on_axis[0], on_axis[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        columns, rows = (
            (start + step * (lid - above)).astype(np.float32)
            for start, step in zip(on_axis, down, strict=True)
        )
        photo, bare = (
            cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for image in (base, skin)
        )
        return photo.astype(np.float32), np.asarray(bare, np.float32)

    def _raised(self, light: Array, x: Array, base: NDArray[np.uint8], skin: Array) -> Array:
        """Height of the edge above the landmarks, where it is darkest, [columns]."""
        roots = max(2, round(ROOTS * self._width))
        below = np.full((1, 1), -WHITE_BELOW * self._width, np.float32)
        white = _light(*self._strips(base, skin, x, below))
        is_white = 0.02 + smoothstep(white, *WHITE)
        dark = np.clip(1 - light[:roots], 0, 1) ** 4 * is_white * (np.abs(x) < self._place.half)
        spread = ROOTS_SPREAD * self._width
        height = np.arange(len(dark), dtype=np.float32)[:, None] * dark
        sums, weights = (
            gaussian_blur(np.repeat(one.sum(0)[None], 3, 0).astype(np.float32), spread)[1]
            for one in (height, dark)
        )
        return np.asarray(sums / (weights + 1e-4), np.float32)

    def _loss(self, light: Array, outer: NDArray[np.floating]) -> Array:
        """Loss of light against the skin above the lashes, of brightness [rows, columns].

        `outer`: towards the outer corner, 0..1, [columns].
        """
        low, high = (round(share * self._width) for share in BARE)
        near, all_ = (light[low:end].max(0, keepdims=True) for end in (high + 1, None))
        bare = near + outer * (all_ - near)
        bare = cv2.blur(bare, (max(1, round(HAIR_WIDTH * self._width)) | 1, 1))
        return np.asarray(np.clip(1 - light / np.clip(bare, 0.1, 1), 0, DARKEST), np.float32)

    def _without_end(self, seen: Array, x: NDArray[np.floating]) -> Array:
        """Loss of light [rows, columns] that ends softly where lashes leave the edge's line.

        `x`: along the eye, outwards, pixels, [columns].
        """
        along, across = (share * self._width for share in OUTER_SOFT)
        soft = cv2.GaussianBlur(seen, (0, 0), sigmaX=along, sigmaY=across)
        outer = smoothstep(x / self._place.half, *OUTER_SOFTENS).astype(np.float32)
        return np.asarray(seen + outer * (soft - seen), np.float32)

    def _attached(self, dark: Array) -> Array:
        """Darkness that goes on down to the roots, [rows, columns]; a crease above does not."""
        hair = max(1, round(HAIR_WIDTH * self._width)) | 1
        return np.minimum.accumulate(cv2.blur(dark, (hair, 1)), axis=0)

    def _around(self, cover: Array) -> Array:
        """A cover with a soft edge around it, [h, w]."""
        wide, soft = (share * self._width for share in AROUND)
        window = np.ones((round(wide) | 1, round(wide) | 1), np.uint8)
        return gaussian_blur(np.asarray(cv2.dilate(cover, window), np.float32), soft)

    def _sampled(self, strip: Array, above: NDArray[np.floating]) -> Array:
        columns = (self._place.x - self._start).astype(np.float32)
        rows = above.astype(np.float32)
        return np.asarray(cv2.remap(strip, columns, rows, cv2.INTER_LINEAR), np.float32)


def _tails(base: NDArray[np.uint8], skin: Array, place: LidGeometry) -> Array:
    """Where lashes and the wet rim of an open eye go on at its outer corner, 0..1, [h, w]."""
    width = place.width
    (aside, above), (wide, high) = TAILS_AT, TAILS_REACH
    off = ((place.x * place.outward - place.half) / width - aside) / wide
    away = np.hypot(off, ((place.y - place.edge) / width + above) / high)
    # Looked for where they are found, and where filters reach from there.
    near, reach = away < TAILS_END[1], round(TAIL_WIDTH * width) + 2
    part = span_of(near.any(1), reach), span_of(near.any(0), reach)
    light = _light(base[part].astype(np.float32), skin[part])
    marks = [
        smoothstep(
            np.asarray(cv2.morphologyEx(light, kind, _round(thick * width)), np.float32), *limits
        )
        for kind, thick, limits in (
            (cv2.MORPH_BLACKHAT, TAIL_WIDTH, TAIL),
            (cv2.MORPH_TOPHAT, WET_WIDTH, WET),
        )
    ]
    found = np.zeros(away.shape, np.float32)
    found[part] = np.maximum(*marks) * (1 - smoothstep(away[part], *TAILS_END))
    found = cv2.dilate(found, _round(TAILS_AROUND * width))
    return gaussian_blur(np.asarray(found, np.float32), max(0.5, TAILS_AROUND / 2 * width))


def _round(size: float) -> NDArray[np.uint8]:
    """A round window of so many pixels, odd."""
    side = max(3, round(size) | 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _many(seen: Array, out: NDArray[np.floating], width: float) -> float:
    """Whether lashes are few or many, 0..1, by their loss of light [rows, columns]."""
    measured = seen[:, np.abs(out) < MEASURED].sum(0) / width
    darkness = np.asarray(np.median(measured) if measured.size else 0.0)
    return float(smoothstep(darkness, FEW, MANY))


def _softness(base: NDArray[np.uint8], place: LidGeometry) -> float:
    """Extent of the sharpest edges between the lids of an eye in a patch, eye widths."""
    inside = (np.abs(place.x) < place.half) & (place.y < place.floor)
    inside &= place.y > place.edge - LINE_BELOW[0] * place.width
    rows, columns = span_of(np.any(inside, axis=1)), span_of(np.any(inside, axis=0))
    inside = inside[rows, columns]
    if min(inside.shape) < MIN_SIDE:
        return SOFTNESS[0]
    light = base[rows, columns, :3].astype(np.float32) @ LUMA
    slope = np.hypot(*(cv2.Sobel(light, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1))))
    dark, bright = np.quantile(light[inside], RANGE)
    steepest = max(float(np.quantile(slope[inside], STEEPEST)), 1e-3)
    return float(np.clip((bright - dark) / steepest / place.width, *SOFTNESS))


def _darkness(seen: Array, out: NDArray[np.floating]) -> float:
    """Loss of light at the roots of lashes, of their loss of light [rows, columns]."""
    roots = seen[:, np.abs(out) < MEASURED].max(0)
    return float(np.clip(LINE_SHARE * np.median(roots) if roots.size else 0.0, *LINE))


def _shut_line(
    below: NDArray[np.floating], x: NDArray[np.floating], out: NDArray[np.floating], many: float
) -> Array:
    """Loss of light by lashes and liner where lids are shut, of the most, [rows, columns].

    Args:
        below: Distance below the edge of the lid, eye widths, [rows, 1].
        x: Along the eye, eye widths, [columns].
        out: The same from the inner to the outer corner, -1..1.
        many: Whether lashes are many, 0..1.
    """
    above, length = (few + many * (much - few) for few, much in (LINE_ABOVE, LINE_BELOW))
    slanted = x - SLANT * below.clip(0) * np.sign(x * out) * np.clip(out, 0, 1)
    waves = [np.sin(2 * np.pi * slanted / distance) for distance in HAIRS]
    few_end, many_end = (1 - smoothstep(out, *ends) for ends in OUTER_ENDS)
    share = INNER_SHARE + (1 - INNER_SHARE) * smoothstep(out, *INNER)
    share = share * (1 - smoothstep(-out, *INNER_ENDS))
    share = share * (few_end + many * (many_end - few_end))
    long = np.interp(out, LENGTH_AT, LENGTHS)
    hairs = np.maximum(length * long * share * (1 + UNEVEN * np.mean(waves, axis=0)), 1e-3)
    line = np.where(
        below < 0,
        np.exp(-((below.clip(None, 0) / -np.maximum(share * long * above, 1e-3)) ** FALLS)),
        1 - np.clip(below / hairs, 0, 1) ** THINS,
    )
    return np.asarray(np.sqrt(share) * line, np.float32)


def _light(photo: Array, bare: Array) -> Array:
    """Brightness of a photograph as a share of the bare skin's, [N, M]."""
    return np.asarray(photo[..., :3] @ LUMA / np.maximum(bare[..., :3] @ LUMA, 1.0), np.float32)


def _tint(photo: Array, bare: Array, seen: Array) -> Array:
    """Loss of light by lashes in each channel, as a share of the mean one, [C]."""
    weight = seen[..., None] + 1e-6
    dark, light = ((weight * one).sum((0, 1)) for one in (photo, bare))
    loss = np.clip(1 - dark / np.maximum(light, 1e-3), 0.05, 1)
    return np.clip(loss / max(float(loss[:3].mean()), 0.05), *TINT_LIMITS).astype(np.float32)
