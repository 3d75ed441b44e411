"""The eyeball behind photographed lids: its white where the iris is, and its iris as a whole disc.

Lids and lashes hide a part of every iris. What they hide goes on in the colours that are seen at
each radius, so that an iris can turn between its lids without a change of its shape.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.masks import span_of
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Lengths are in eye widths, and set by eye, unless another unit or source is given.
STRETCH_MARGIN = 0.4  # radii above and below an iris, over which it may be stretched
LIDS_MOVE = 0.08  # at most: margin in which a moved lid may show the eyeball
AROUND = (0.62, 0.46, 0.38)  # aside, up, down of the eye's centre: what is read and changed
SHADED, JOIN = 0.035, 0.05  # below the lid's edge: in its shade; where the picture goes on
SEEN_ABOVE_FLOOR = 0.03  # above the lower lid: nearer, its lashes are seen
LASHED_FLOOR = (0.0, 0.025)  # above the lower lid: seen through its lashes
BEGINS_BELOW, BEGINS_ABOVE = (-0.005, 0.03), (-0.012, 0.012)  # the eye inside the lids
# The lower lid's edge is where light rises below the iris, so far from its landmarks at most; half
# the columns of the iris that count; width of the step.
FLOOR_OFFSETS, FLOOR_COLUMNS, FLOOR_STEP = np.linspace(-0.04, 0.05, 19), 0.6, 0.015
# Levels of 255 that are added before light is compared; least share of the light behind an iris.
DARK, LEAST_LIGHT = 4.0, 0.01
# Radii: to which colours around the iris's centre are read; samples of a radius; the iris's edge;
# where the white is the photograph's again.
REACH, RADII, IRIS_EDGE, WHITE_AGAIN = 1.2, 24, (0.96, 1.14), (1.16, 1.40)
# Spread of the white's colour, everywhere, and along and across the eye, where that is known; how
# far from the eye's middle the white is read; share that a pixel of the first counts.
WHITE_SPREAD, WHITE_ALONG, WHITE_READ, VAGUE = 0.12, (0.22, 0.035), 0.40, 0.05
WHITE_BESIDE = 0.35  # radii of the iris over which the white beside it counts by a third as much
# Percentile of what is seen that is white; what is darker or lighter is something else: shares.
BRIGHTEST, DARKEST, LIGHTEST = 75, 0.72, 1.2
FEW = 0.006  # of its pixels on one side of the iris, of the eye's width squared
# The iris's outline is the circle with the greatest step of light, outwards (the operator of
# J. Daugman, 1993), on its sides between the lids: shifts and radii that are tried, radii; width of
# the step; the least one, levels of 255; sides, degrees from the level.
SHIFTS, SIZES, STEP, LEAST_STEP = np.linspace(-0.2, 0.2, 7), np.linspace(0.88, 1.16, 5), 0.08, 8.0
SIDES, LEAST_SEEN = np.radians(np.linspace(-45, 45, 13)), 0.3


class Iris(NamedTuple):
    """An iris, in source pixels.

    Attributes:
        centre: (x, y).
        radius: Of its outline.
    """

    centre: NDArray[np.float64]
    radius: float

    def moved(self, shift: NDArray[np.int_]) -> "Iris":
        """The iris in coordinates that are shifted by (x, y)."""
        return Iris(self.centre + shift, self.radius)


class Eyeball(NamedTuple):
    """An eye without its iris, and the iris: what it takes of the light of the white behind it.

    The photograph is `(without + DARK) * (1 - seen * iris) - DARK`.

    Attributes:
        without: The eye as if it had none, uint8 [h, w, C].
        seen: Share of the eyeball that is seen between the lids, float32 [h, w].
        between: Rows and columns of the patch in which it is, and a margin.
        part: Those in which the iris is, and a margin above and below.
        centre: Of the iris in them, pixels (x, y).
        iris: Loss of light, by colour, float32 [rows, columns, 3].
    """

    without: NDArray[np.uint8]
    seen: Array
    between: tuple[slice, slice]
    part: tuple[slice, slice]
    centre: NDArray[np.float64]
    iris: Array

    @classmethod
    def of(cls, base: NDArray[np.uint8], place: LidGeometry, iris: Iris) -> "Eyeball":
        """Take one apart.

        Args:
            base: Patch of the picture around the eye, uint8 [h, w, C], without reflections.
            place: Where its pixels are.
            iris: In pixels of the patch.
        """
        (rows, columns), near = place.around(*AROUND)
        part = base[rows, columns]
        iris = outlined(part, near, iris.moved(-np.array([columns.start, rows.start])))
        without = base.copy()
        seen = np.zeros(base.shape[:2], np.float32)
        bare, seen[rows, columns], layer = _taken_apart(part, near, iris)
        without[rows, columns, :3] = np.clip(bare + 0.5, 0, 255)
        lost = layer.max(2)
        down = span_of(np.asarray(lost.max(1)), round(STRETCH_MARGIN * iris.radius))
        across = span_of(np.asarray(lost.max(0)), 1)
        layer = np.ascontiguousarray(layer[down, across])
        top, left = rows.start + down.start, columns.start + across.start
        box = slice(top, top + layer.shape[0]), slice(left, left + layer.shape[1])
        middle = iris.centre - (across.start, down.start)
        margin = round(LIDS_MOVE * place.width)
        between = span_of(seen.max(1), margin), span_of(seen.max(0))
        return cls(without, seen, between, box, middle, layer)


def _taken_apart(
    base: NDArray[np.uint8], place: LidGeometry, iris: Iris
) -> tuple[Array, Array, Array]:
    """The eye without its iris [h, w, 3], `seen` [h, w] and the iris [h, w, 3] of a patch."""
    colours = base[..., :3].astype(np.float32)
    away = away_from(iris, base.shape)
    cover = 1 - smoothstep(away, *IRIS_EDGE)[..., None]
    white, disc = white_of(base, place, iris), radial_colours(base, place, away)
    disc = white if disc is None else disc
    floor = place.floor + _floor_offset(colours @ LUMA, place, iris)
    below, above = (place.y - place.lid) / place.width, (floor - place.y) / place.width
    seen = smoothstep(below, *BEGINS_BELOW) * smoothstep(above, *BEGINS_ABOVE)
    hidden = 1 - smoothstep(below, SHADED, SHADED + JOIN) * smoothstep(above, *LASHED_FLOOR)
    # What lashes and their shade let through, where those are; else all.
    whole = white + cover * (disc - white)
    passes = np.clip((colours @ LUMA) / np.maximum(whole @ LUMA, 1.0), 0, 1)
    passes = 1 - hidden * (1 - passes)
    # Beside the iris the white is as light as photographed.
    light = np.maximum(passes[..., None] * white, (1 - cover) * colours)
    loss = np.clip(1 - (colours + DARK) / (light + DARK), 0, 1)
    loss *= (1 - smoothstep(away, *WHITE_AGAIN))[..., None]
    without = (colours + DARK) / np.maximum(1 - seen[..., None] * loss, LEAST_LIGHT) - DARK
    return without, seen.astype(np.float32), loss.astype(np.float32)


def away_from(iris: Iris, shape: tuple[int, ...]) -> Array:
    """Distance of each pixel of a patch from the iris's centre, radii, [h, w]."""
    y, x = np.indices(shape[:2], np.float32)
    away = np.hypot(x - iris.centre[0], y - iris.centre[1]) / max(iris.radius, 1.0)
    return np.asarray(away, np.float32)


def _is_clear(place: LidGeometry) -> NDArray[np.bool_]:
    """Where lids and lashes neither cover nor shade the eye, [h, w]."""
    below, above = place.y - place.lid, place.floor - place.y
    clear = (below > SHADED * place.width) & (above > SEEN_ABOVE_FLOOR * place.width)
    return np.asarray(clear & (np.abs(place.x) < place.half))


def white_of(base: NDArray[np.uint8], place: LidGeometry, iris: Iris) -> Array:
    """The white of an eye as if it had no iris, RGB float32 [h, w, 3].

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
        place: Where its pixels are.
        iris: In pixels of the patch.
    """
    colours = base[..., :3].astype(np.float32)
    away = away_from(iris, base.shape)
    clear = _is_clear(place)
    white = clear & (away > REACH) & (np.abs(place.x) < WHITE_READ * place.width)
    if not white.any():
        inside = colours[clear] if clear.any() else colours.reshape(-1, 3)
        return np.full_like(colours, np.percentile(inside, BRIGHTEST, axis=0))
    luma = colours @ LUMA
    middle = float((iris.centre - place.centre) @ place.axes[0])
    beside = clear & (away > REACH)
    for half in (place.x < middle, place.x >= middle):  # light often comes from one side
        side, lightest = white & half, BRIGHTEST
        if side.sum() < FEW * place.width**2:  # a corner in the dark, maybe
            side, lightest = beside & half, 50
        if side.any():
            usual = float(np.percentile(luma[side], lightest))
            side &= (luma <= LIGHTEST * usual) & (luma >= DARKEST * usual)
        white = np.where(half, side, white)
    weight = (white * np.exp((REACH - away) / WHITE_BESIDE))[..., None]
    weighted = np.concatenate([colours * weight, weight], -1)
    smaller = max(int(WHITE_ALONG[1] * place.width), 1)  # than which nothing in it is finer
    size = tuple(-(-length // smaller) for length in base.shape[1::-1])
    weighted = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    total = np.full(weighted.shape, 1e-3, np.float32)
    total[..., :-1] *= colours[white].mean(0)
    along, across, wide = (
        max(spread * place.width / smaller, 0.5) for spread in (*WHITE_ALONG, WHITE_SPREAD)
    )
    total += cv2.GaussianBlur(weighted, (0, 0), along, sigmaY=across)
    total += VAGUE * cv2.GaussianBlur(weighted, (0, 0), wide)
    smooth = np.asarray(total[..., :-1] / total[..., -1:], np.float32)
    return np.asarray(cv2.resize(smooth, base.shape[1::-1]), np.float32)


def radial_colours(base: NDArray[np.uint8], place: LidGeometry, away: Array) -> Array | None:
    """Colours at each pixel's distance from the iris's centre, RGB float32 [h, w, 3].

    Means of what is seen at that distance; None where hardly anything is.
    """
    clear = _is_clear(place)
    at = np.minimum((away / REACH * RADII).astype(int), RADII)
    near = clear & (at < RADII)
    count = np.bincount(at[near], minlength=RADII + 1)[:RADII]
    known = np.flatnonzero(count > 2)
    if len(known) < 2:
        return None
    radii = np.minimum(away / REACH * RADII - 0.5, RADII - 1)
    means = (
        np.bincount(at[near], base[near, channel].astype(np.float64), RADII + 1)[known]
        / count[known]
        for channel in range(3)
    )
    return np.stack([np.interp(radii, known, mean) for mean in means], -1).astype(np.float32)


def _floor_offset(luma: Array, place: LidGeometry, iris: Iris) -> float:
    """How far below its landmarks the lower lid's edge is under the iris, pixels."""
    middle = float((iris.centre - place.centre) @ place.axes[0])
    under = np.abs(place.x - middle) < FLOOR_COLUMNS * iris.radius
    down = (place.y - place.floor) / place.width
    reach = FLOOR_OFFSETS[0] - 2 * FLOOR_STEP, FLOOR_OFFSETS[-1] + 2 * FLOOR_STEP
    near = under & (down > reach[0]) & (down < reach[1])
    if near.sum() < 2 * len(FLOOR_OFFSETS):
        return 0.0
    kernel = np.square((down[near] - FLOOR_OFFSETS[:, None]) / FLOOR_STEP)
    slope = (down[near] - FLOOR_OFFSETS[:, None]) * np.exp(-kernel / 2)
    steps = (slope * luma[near]).sum(1) / np.maximum(np.abs(slope).sum(1), 1e-6)
    steps -= (slope.sum(1) / np.maximum(np.abs(slope).sum(1), 1e-6)) * luma[near].mean()
    best = int(steps.argmax())
    return float(FLOOR_OFFSETS[best] * place.width) if steps[best] > LEAST_STEP / 4 else 0.0


def outlined(base: NDArray[np.uint8], place: LidGeometry, iris: Iris) -> Iris:
    """An iris whose outline is where its picture has it, near where landmarks do.

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
        place: Where its pixels are.
        iris: By landmarks, in pixels of the patch.
    """
    luma = gaussian_blur(base[..., :3].astype(np.float32) @ LUMA, max(0.03 * place.width, 0.5))
    clear = gaussian_blur(_is_clear(place).astype(np.float32), 0.5)
    angles = np.concatenate([SIDES, np.pi - SIDES])
    dx, dy, size, angle = np.meshgrid(SHIFTS / 2, SHIFTS, SIZES, angles, indexing="ij")
    both = np.stack([luma, clear], -1)

    def at(radii: NDArray[np.float64]) -> Array:
        x = iris.centre[0] + iris.radius * (dx + radii * np.cos(angle))
        y = iris.centre[1] + iris.radius * (dy + radii * np.sin(angle))
        shape = (x.size // len(angles), len(angles))
        columns, rows = (one.astype(np.float32).reshape(shape) for one in (x, y))
        return np.asarray(cv2.remap(both, columns, rows, cv2.INTER_LINEAR), np.float32)

    outside, inside = at(size + STEP), at(size - STEP)
    seen = outside[..., 1] * inside[..., 1]
    step = (outside[..., 0] - inside[..., 0]) * seen
    share = seen.mean(1)
    mean = step.sum(1) / np.maximum(seen.sum(1), 1e-3) * (share > LEAST_SEEN)
    best = int(mean.argmax())
    if mean[best] < LEAST_STEP:
        return iris
    column, row, one = np.unravel_index(best, (len(SHIFTS), len(SHIFTS), len(SIZES)))
    shift = iris.radius * np.array([SHIFTS[column] / 2, SHIFTS[row]])
    return Iris(iris.centre + shift, float(iris.radius * SIZES[one]))
