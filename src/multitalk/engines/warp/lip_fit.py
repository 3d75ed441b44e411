"""Lip fit: landmarks of open lips moved to the edges that the photograph shows.

The mesh knows few open mouths that are seen from the side or from below. It can be off a lip's edge
by a fifth of the lip: then a part of the lip is cut away with the mouth's inside, and another part
moves with the skin. Each edge is looked for along the face, near its landmark, at every landmark
between the corners. What all of them agree on is taken.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array, DoubleArray
from multitalk.engines.warp.colour import LUMA
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

OPEN = 0.05  # mouth widths: lip gap from which there are inner edges to be seen
STEP = 0.5  # pixels from one sample to the next
# Mouth widths: how far edges are looked for, and the lengths beside an edge that are compared.
REACH, COMPARED = 0.085, 0.05
# What is between lips: darker than a share of the lip's luma, or lighter than one and less red.
DARK, LIGHT, PALE = 0.62, 0.95, 0.55
FOUND = 1.6  # of 2: shares of mouth and of lip beside an edge that is one, added
NEARER = (
    0.25  # of these that an edge at the end of the reach must have more than one at its landmark
)
# The lower lip's outer edge: least difference of redness from the skin below it, where (mouth
# widths below the landmark) that skin is, and how well the edge parts them, of 0.5.
REDDER, SKIN_BELOW, PARTED = 0.02, (0.12, 0.20), 0.2
# Corners, mouth widths: half the height and the step of the band in which the dark is looked for,
# what of the dark's end is left out, and how far it stays inside the lips' outer corner at least.
BAND, BAND_STEP, TIP, OUTSIDE = 0.03, 0.01, 0.015, 0.025
FEWEST = 5  # of 9 landmarks at which an edge must be found
BETWEEN = slice(1, -1)  # landmarks of a lip without its corners


@dataclass(frozen=True)
class _Profiles:
    """The picture along lines down the face, one for each landmark between the corners.

    Attributes:
        luma: 0..255, [9, S].
        redness: (R - G) / (R + G + B), [9, S].
    """

    luma: Array
    redness: Array

    @classmethod
    def along(
        cls, picture: NDArray[np.uint8], start: DoubleArray, down: DoubleArray, far: float
    ) -> "_Profiles":
        """From points [9, 2] on, `far` pixels in the direction `down`."""
        away = np.arange(0, max(far, 2 * STEP), STEP)
        places = (start[:, None] + away[None, :, None] * down).astype(np.float32)
        seen = cv2.remap(
            picture,
            places,
            None,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,  # type: ignore[call-overload]
        ).astype(np.float32)
        total = np.maximum(seen.sum(-1), 1)
        return cls(seen @ LUMA, (seen[..., 0] - seen[..., 1]) / total)


def fit_open_lips(picture: NDArray[np.uint8], face: FaceLandmarks) -> FaceLandmarks:
    """A face whose open lips have their landmarks on their edges.

    Args:
        picture: RGB uint8 [H, W, 3].
        face: As detected in it.

    Returns:
        The face with moved landmarks of the lips; as it was where they are closed, or where no edge
        is found.
    """
    points = face.points.astype(np.float64)
    width = face.mouth_width * face.height
    upper, lower = (
        points[list(lip)[BETWEEN], :2] for lip in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER)
    )
    if np.linalg.norm(lower - upper, axis=1).max() < OPEN * width:
        return face
    down = face.head_axes[1, :2].astype(np.float64)
    down /= np.linalg.norm(down)
    for inner, outer, rings, way in (
        (mesh.LIPS_INNER_UPPER, None, (mesh.UPPER_LIP_RED_INNER, mesh.UPPER_LIP_RED_OUTER), -1.0),
        (
            mesh.LIPS_INNER_LOWER,
            mesh.LIPS_OUTER_LOWER,
            (mesh.LOWER_LIP_RED_INNER, mesh.LOWER_LIP_RED_OUTER),
            1.0,
        ),
    ):
        edge = list(inner)[BETWEEN]
        red = [at for ring in rings for at in ring[2:-2]]
        shifts = _inner_shift(picture, points[edge, :2], points[red, :2], way * down, width)
        moved = _agreed(shifts)
        points[edge, :2] += moved[:, None] * way * down
        moved_outside = np.zeros_like(moved)
        if outer is not None:
            border = list(outer)[BETWEEN]
            ends = points[edge, :2], points[border, :2]
            moved_outside = _agreed(_outer_shift(picture, *ends, down, width))
            points[border, :2] += moved_outside[:, None] * down
        for ring, share in zip(rings, (1 / 3, 2 / 3), strict=True):
            shift = (1 - share) * moved + share * moved_outside
            points[list(ring), :2] += shift[:, None] * way * down
    _part(points, down)
    for corner, end in (
        (mesh.RIGHT_INNER_CORNER, mesh.RIGHT_MOUTH_CORNER),
        (mesh.LEFT_INNER_CORNER, mesh.LEFT_MOUTH_CORNER),
    ):
        across = points[end, :2] - points[corner, :2]
        room = float(np.linalg.norm(across)) - OUTSIDE * width
        across /= max(float(np.linalg.norm(across)), 1e-6)
        further = _corner_shift(picture, points[corner, :2], (across, down), points[red, :2], width)
        points[corner, :2] += float(np.clip(further, 0, max(room, 0.0))) * across
    return replace(face, points=points.astype(face.points.dtype))


def _part(points: DoubleArray, down: DoubleArray) -> None:
    """Let inner edges that have come past each other meet half-way, in place."""
    upper, lower = (list(lip)[BETWEEN] for lip in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER))
    past = np.minimum((points[lower, :2] - points[upper, :2]) @ down, 0)[:, None] * down / 2
    points[upper, :2] += past
    points[lower, :2] -= past


def _inner_shift(
    picture: NDArray[np.uint8],
    edge: DoubleArray,
    red: DoubleArray,
    outwards: DoubleArray,
    width: float,
) -> DoubleArray:
    """Pixels `outwards` from each landmark of a lip's inner edge to the edge, [9]; NaN: unknown.

    Args:
        picture: RGB uint8 [H, W, 3].
        edge: The landmarks, [9, 2] pixels.
        red: Places in the lip's red, [N, 2].
        outwards: Unit vector from the opening to the lip.
        width: Of the mouth, pixels.
    """
    reach, compared = round(REACH * width / STEP), max(2, round(COMPARED * width / STEP))
    start = edge - (reach + compared) * STEP * outwards
    seen = _Profiles.along(picture, start, outwards, 2 * (reach + compared) * STEP)
    lip = _Profiles.along(picture, red, outwards, STEP)
    luma, redness = float(np.median(lip.luma)), float(np.median(lip.redness))
    pale = (seen.luma > LIGHT * luma) & (seen.redness < PALE * redness)
    between = ((seen.luma < DARK * luma) | pale).astype(np.float64)
    sums = np.cumsum(np.pad(between, ((0, 0), (1, 0))), axis=1)
    at = np.arange(compared, sums.shape[1] - compared)
    inside = (sums[:, at] - sums[:, at - compared]) / compared
    on_lip = 1 - (sums[:, at + compared] - sums[:, at]) / compared
    away = at - 0.5 - compared - reach  # an edge is between two samples
    best = np.argmax(inside + on_lip - NEARER * np.abs(away) / max(reach, 1), axis=1)
    each = np.arange(len(best))
    found = (inside + on_lip)[each, best] > FOUND
    return np.where(found, away[best] * STEP, np.nan)


def _outer_shift(
    picture: NDArray[np.uint8],
    inner: DoubleArray,
    outer: DoubleArray,
    down: DoubleArray,
    width: float,
) -> DoubleArray:
    """Pixels down from each landmark of the lower lip's outer edge to the edge, [9]; NaN: unknown.

    A lip is redder than the skin below it.

    Args:
        picture: RGB uint8 [H, W, 3].
        inner: Landmarks of its inner edge, [9, 2] pixels.
        outer: Those of its outer edge.
        down: Unit vector down the face.
        width: Of the mouth, pixels.
    """
    thick = np.maximum((outer - inner) @ down, 1.0)
    start = outer - thick[:, None] * down
    far = float(thick.max()) + SKIN_BELOW[1] * width
    redness = _Profiles.along(picture, start, down, far).redness
    shifts = np.full(len(outer), np.nan)
    for place, (row, at) in enumerate(zip(redness, thick / STEP, strict=True)):
        skin = row[int(at + SKIN_BELOW[0] * width / STEP) : int(at + SKIN_BELOW[1] * width / STEP)]
        of_lip, of_skin = float(np.median(row[: max(int(at * 0.7), 1)])), float(np.median(skin))
        if of_lip - of_skin < REDDER:
            continue
        lipped = np.clip((row - of_skin) / (of_lip - of_skin), 0, 1) - 0.5
        low = max(int(at - REACH * width / STEP), 1)
        high = min(int(at + REACH * width / STEP), len(row) - 1)
        before, beyond = np.cumsum(lipped)[low:high], lipped[: high + 1].sum()
        best = low + int(np.argmax(2 * before - beyond))
        if lipped[: best + 1].mean() > PARTED and -lipped[best + 1 : high + 1].mean() > PARTED:
            shifts[place] = (best + 0.5 - at) * STEP
    return shifts


def _corner_shift(
    picture: NDArray[np.uint8],
    corner: DoubleArray,
    axes: tuple[DoubleArray, DoubleArray],
    red: DoubleArray,
    width: float,
) -> float:
    """Pixels from a corner's inner landmark to the end of the dark between the lips; never inwards.

    Args:
        picture: RGB uint8 [H, W, 3].
        corner: The landmark, [2] pixels.
        axes: Unit vectors out of the mouth and down the face.
        red: Places in the lower lip's red, [N, 2].
        width: Of the mouth, pixels.
    """
    across, down = axes
    band = np.arange(-BAND, BAND + BAND_STEP / 2, BAND_STEP)[:, None] * width * down
    seen = _Profiles.along(picture, corner + band, across, REACH * width).luma.min(0)
    lip = float(np.median(_Profiles.along(picture, red, down, STEP).luma))
    light = np.flatnonzero(seen > DARK * lip)
    if not len(light):
        return 0.0
    return max(float(light[0]) * STEP - TIP * width, 0.0)


def _agreed(shifts: DoubleArray) -> DoubleArray:
    """Shifts [9] along a lip, smooth and 0 at the corners; 0 where too few are known (NaN)."""
    known = np.flatnonzero(~np.isnan(shifts))
    if len(known) < FEWEST:
        return np.zeros_like(shifts)
    places = np.r_[-1, known, len(shifts)]
    filled = np.interp(np.arange(-1, len(shifts) + 1), places, np.r_[0, shifts[known], 0])
    around = np.pad(filled, 1)
    middle = np.median(np.stack([around[:-2], around[1:-1], around[2:]]), axis=0)
    smooth = np.convolve(np.pad(middle, 1), (0.25, 0.5, 0.25), mode="valid")
    return smooth[1:-1]
