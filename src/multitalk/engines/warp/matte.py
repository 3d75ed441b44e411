"""Matte of one person: how much of each pixel is theirs, and how far that can be trusted.

A network says roughly where the person is; a guided filter carries its answer to the edges of the
picture, strands of hair included. Where the network hesitates over a wide band, the matte is
uncertain, and the person is moved as if cut from nothing (see `falloff.head_falloff`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep
from multitalk.face import mesh
from multitalk.face.networks import PersonNetwork

# Lengths are in face heights.
REACH = 1.7  # of the square around the face's centre that the network sees
FILTER_REACH, FILTER_EPSILON = 0.03, 1e-4  # guided filter: window, variance of an edge (levels 0-1)
WORKING_HEIGHT = 110  # pixels of a face height at which the filter is computed
ALPHA_RANGE = (0.08, 0.92)  # of the filtered probability: what is beyond is 0 or 1
NEAR_PERSON = 0.05  # around the person: what is farther belongs to others
SEEN = 0.9  # mean probability on the face below which the network has not understood the picture
# Width of the band in which the network hesitates, over which trust goes from all to none, and the
# reach over which it is averaged. Sharp edges have about 0.03; set by eye on twenty pictures.
SHARP, UNCERTAIN = 0.07, 0.16
TRUST_REACH = 0.12
MOSTLY_CERTAIN = 0.4  # mean of the edges; with less, pieces would be moved apart
# The colours on both sides of an edge: the reach over which they are averaged, alpha beyond which a
# pixel is on one side, and levels by which they differ; far from edges there is nothing to doubt.
SIDE_REACH, SIDE_ALPHA, DIFFERENT, LEAST_EDGE = 0.012, 0.05, (8.0, 24.0), 1e-3
TRUSTED = (0.35, 0.65)  # certainty from which the background is left out of a person's layer
RAMP_MEAN = 1.5  # width of a linear ramp per integral of 4 p (1 - p) over it
BEYOND_THE_MIDLINE = 3.0  # pixels: both layers cover the line between two people


@dataclass(frozen=True)
class Matte:
    """Which part of a picture is one person.

    Attributes:
        alpha: 0 background .. 1 person, float32 [H, W] of the picture.
        certainty: 0 .. 1 how far to trust the edges near each place, float32 [H, W].
    """

    alpha: Array
    certainty: Array

    @classmethod
    def of(
        cls,
        picture: NDArray[np.uint8],
        points: NDArray[np.floating],
        frame: HeadFrame,
        network: PersonNetwork,
        neighbours: tuple[NDArray[np.float64], ...] = (),
    ) -> "Matte | None":
        """Find a person, or None where the network does not see one, or hardly any edge, for sure.

        Args:
            picture: RGB uint8 [H, W, 3].
            points: The face's landmarks, [478, 3] pixels.
            frame: Of the head.
            network: Says where people are.
            neighbours: Centres (x, y) of the other faces; beyond the midline is not this person.
        """
        rows, columns = _square(frame, picture.shape[:2])
        crop = np.ascontiguousarray(picture[rows, columns])
        probability = network.probability(crop)
        corner = (columns.start, rows.start)
        face = cv2.convexHull((points[: mesh.NUM_FACE_POINTS, :2] - corner).astype(np.float32))
        on_face = np.zeros(crop.shape[:2], np.uint8)
        cv2.fillConvexPoly(on_face, np.round(face).astype(np.int32), 255)
        if not on_face.any() or probability[on_face > 0].mean() < SEEN:
            return None
        low, high = ALPHA_RANGE
        filtered = _guided_filter(crop, probability, frame.height)
        inner = np.clip((filtered - low) / (high - low), 0, 1)
        inner = _only_person(inner, on_face, frame.height)
        trust = _sharpness(probability, frame.height) * _contrast(crop, inner, frame.height)
        edge = (inner > low) & (inner < high)
        if not edge.any() or trust[edge].mean() < MOSTLY_CERTAIN:
            return None
        alpha = np.zeros(picture.shape[:2], np.float32)
        alpha[rows, columns] = inner
        _cut_at_midlines(alpha, frame.origin[:2], neighbours)
        certainty = np.zeros_like(alpha)
        certainty[rows, columns] = trust
        return cls(alpha, certainty)

    @property
    def cover(self) -> Array:
        """Opacity of the person's layer: where the matte is uncertain, all that is around them."""
        trusted = smoothstep(self.certainty, *TRUSTED)
        return (1 - (1 - self.alpha) * trusted).astype(np.float32)


def _square(frame: HeadFrame, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns around a head, within a picture of a size (height, width)."""
    x, y = frame.origin[:2]
    far = REACH * frame.height
    return (
        slice(max(0, int(y - far)), min(size[0], int(y + far))),
        slice(max(0, int(x - far)), min(size[1], int(x + far))),
    )


def _guided_filter(crop: NDArray[np.uint8], probability: Array, height: float) -> Array:
    """Carry a probability to the picture's edges, [h, w].

    In each window it is fitted as a linear function of the three colours (K. He, J. Sun, X. Tang,
    "Guided Image Filtering", 2010), on a smaller picture (K. He, J. Sun, "Fast Guided Filter",
    2015).
    """
    rows, columns = crop.shape[:2]
    scale = min(1.0, WORKING_HEIGHT / height)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    guide: Array = small.astype(np.float32) / np.float32(255)
    target = np.asarray(cv2.resize(probability, size, interpolation=cv2.INTER_AREA), np.float32)
    window = 2 * max(1, round(FILTER_REACH * height * scale)) + 1

    def mean(image: Array) -> Array:
        made = cv2.blur(image, (window, window), borderType=cv2.BORDER_REFLECT)
        return np.asarray(made, np.float32)

    colour, expected = mean(guide), mean(target)
    with_target = mean(guide * target[..., None]) - colour * expected[..., None]
    slope = _solve(_covariance(guide, colour, mean), with_target)
    offset = expected - (slope * colour).sum(-1)
    fitted = np.concatenate([mean(slope), mean(offset)[..., None]], -1)
    fitted = np.asarray(cv2.resize(fitted, (columns, rows), interpolation=cv2.INTER_LINEAR))
    full = crop.astype(np.float32) / 255
    made = fitted[..., 3] + (fitted[..., :3] * full).sum(-1)
    return np.asarray(made, np.float32)


def _covariance(guide: Array, colour: Array, mean: Callable[[Array], Array]) -> list[Array]:
    """Covariances of the colours in windows, with an edge's variance added: rr rg rb gg gb bb."""
    made = []
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        product = mean(guide[..., i] * guide[..., j]) - colour[..., i] * colour[..., j]
        made.append(product + np.float32(FILTER_EPSILON * (i == j)))
    return made


def _solve(matrix: list[Array], right: Array) -> Array:
    """Solutions [h, w, 3] of symmetric 3 x 3 systems, by Cramer's rule."""
    rr, rg, rb, gg, gb, bb = matrix
    r, g, b = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    determinant = rr * r + rg * g + rb * b
    gb_, bb_, gg_ = rg * rb - rr * gb, rr * gg - rg * rg, rr * bb - rb * rb
    x, y, z = right[..., 0], right[..., 1], right[..., 2]
    rows = (r * x + g * y + b * z, g * x + gg_ * y + gb_ * z, b * x + gb_ * y + bb_ * z)
    return np.stack([row / determinant for row in rows], -1)


def _only_person(alpha: Array, on_face: NDArray[np.uint8], height: float) -> Array:
    """Alpha without what is not joined to the face, and without holes inside the person."""
    _, labels = cv2.connectedComponents(((alpha > 0.5) | (on_face > 0)).astype(np.uint8))
    own = (labels == np.median(labels[on_face > 0])).astype(np.uint8)
    # What the background does not reach from the picture's border is inside.
    outside = np.pad(1 - own, 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    is_hole = outside[1:-1, 1:-1] == 1
    away = cv2.distanceTransform(1 - own, cv2.DIST_L2, 5) / height
    near = 1 - smoothstep(away, 0.5 * NEAR_PERSON, NEAR_PERSON)
    made = np.maximum(alpha * near, (is_hole | (on_face > 0)).astype(np.float32))
    return made.astype(np.float32)


def _cut_at_midlines(
    alpha: Array, centre: NDArray[np.float64], neighbours: tuple[NDArray[np.float64], ...]
) -> None:
    """Set alpha to 0 where another face is nearer, in place."""
    if not neighbours:
        return
    y, x = np.indices(alpha.shape, np.float32)
    for other in neighbours:
        towards = other - centre
        length = float(np.hypot(*towards))
        along = ((x - centre[0]) * towards[0] + (y - centre[1]) * towards[1]) / length
        alpha[along > length / 2 + BEYOND_THE_MIDLINE] = 0


def _sharpness(probability: Array, height: float) -> Array:
    """How narrow the band is in which the network hesitates: 1 sharp, 0 wide, [h, w].

    Over a linear ramp, 4 p (1 - p) integrates to two thirds of its width, and the slope to 1.
    """
    scale = min(1.0, WORKING_HEIGHT / height)
    rows, columns = probability.shape
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(probability, size, interpolation=cv2.INTER_AREA)
    reach = TRUST_REACH * height * scale
    hesitates = gaussian_blur(4 * small * (1 - small), reach)
    across = cv2.Sobel(small, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(small, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = gaussian_blur(np.hypot(across, down).astype(np.float32), reach)
    least = 0.02 / (height * scale)  # of a slope: far from all edges the matte is certain
    width = RAMP_MEAN * hesitates / (slope + least) / (height * scale)
    sharp = (1 - smoothstep(width, SHARP, UNCERTAIN)).astype(np.float32)
    whole = cv2.resize(sharp, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)


def _contrast(crop: NDArray[np.uint8], alpha: Array, height: float) -> Array:
    """How different the colours on both sides of the edge are: 1 different, 0 the same, [h, w].

    An edge between pixels of one colour runs across a thing, of which a half would stay behind.
    """
    scale = min(1.0, WORKING_HEIGHT / height)
    rows, columns = alpha.shape
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    picture, person = (
        np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        for image in (crop, alpha)
    )
    reach = SIDE_REACH * height * scale
    sides = []
    for is_there in ((person > 1 - SIDE_ALPHA), (person < SIDE_ALPHA)):
        there = is_there.astype(np.float32)[..., None]
        share = gaussian_blur(there, reach)[..., None]
        sides.append((gaussian_blur(picture * there, reach) / np.maximum(share, 1e-3), share))
    (inside, is_inside), (outside, is_outside) = sides
    at_edge = 4 * np.minimum(is_inside, is_outside)[..., 0]
    different = smoothstep(np.abs(inside - outside).max(-1), *DIFFERENT)
    spread = TRUST_REACH / 2 * height * scale
    weight = gaussian_blur((at_edge * at_edge).astype(np.float32), spread)
    mean = gaussian_blur((at_edge * at_edge * different).astype(np.float32), spread)
    made = (mean + LEAST_EDGE) / (weight + LEAST_EDGE)
    whole = cv2.resize(made, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)
