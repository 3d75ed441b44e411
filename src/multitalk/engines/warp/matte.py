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
from multitalk.engines.warp.masks import mask_where
from multitalk.engines.warp.neighbours import Neighbour, towards
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
BEYOND_THE_LINE = 3.0  # pixels: both layers cover the line between two people


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
        neighbours: tuple[Neighbour, ...] = (),
    ) -> "Matte | None":
        """Find a person, or None where the network does not see one, or hardly any edge, for sure.

        Args:
            picture: RGB uint8 [H, W, 3].
            points: The face's landmarks, [478, 3] pixels.
            frame: Of the head.
            network: Says where people are.
            neighbours: The other faces; their part of the picture is not this person.
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
        small = _Small.of(crop, probability, frame.height)
        inner = _alpha(crop, small)
        _keep_person(inner, on_face, frame.height)
        trust = small.enlarged(_sharpness(small)) * small.enlarged(_contrast(small, inner))
        edge = (inner > ALPHA_RANGE[0]) & (inner < ALPHA_RANGE[1])
        if not edge.any() or trust[edge].mean() < MOSTLY_CERTAIN:
            return None
        alpha = np.zeros(picture.shape[:2], np.float32)
        alpha[rows, columns] = inner
        _cut_at_neighbours(alpha, frame, neighbours)
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


@dataclass(frozen=True)
class _Small:
    """A crop and the network's answer on a smaller picture, where nothing fine is looked for.

    Attributes:
        planes: Red, green and blue, float32 [h, w] each, 0 .. 255.
        probability: [h, w].
        height: Of the face, pixels.
        size: (w, h).
        whole: Size (W, H) of the crop.
    """

    planes: tuple[Array, ...]
    probability: Array
    height: float
    size: tuple[int, int]
    whole: tuple[int, int]

    @classmethod
    def of(cls, crop: NDArray[np.uint8], probability: Array, height: float) -> "_Small":
        """Of a crop [H, W, 3] with a face of a height in pixels."""
        rows, columns = probability.shape
        scale = min(1.0, WORKING_HEIGHT / height)
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        picture, expected = (
            cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (crop, probability)
        )
        planes = tuple(plane.astype(np.float32) for plane in cv2.split(picture))
        return cls(planes, np.asarray(expected, np.float32), height * scale, size, (columns, rows))

    def enlarged(self, image: Array) -> Array:
        """An image [h, w] at the crop's size, [H, W]."""
        made = cv2.resize(image, self.whole, interpolation=cv2.INTER_LINEAR)
        return np.asarray(made, np.float32)


def _alpha(crop: NDArray[np.uint8], small: _Small) -> Array:
    """Opacity of the person by the network's probability, carried to the picture's edges, [h, w].

    In each window it is fitted as a linear function of the three colours (K. He, J. Sun, X. Tang,
    "Guided Image Filtering", 2010), on a smaller picture (K. He, J. Sun, "Fast Guided Filter",
    2015).
    """
    window = 2 * max(1, round(FILTER_REACH * small.height)) + 1

    def mean(image: Array) -> Array:
        made = cv2.blur(image, (window, window), borderType=cv2.BORDER_REFLECT)
        return np.asarray(made, np.float32)

    guide = [plane / np.float32(255) for plane in small.planes]
    colour, expected = [mean(plane) for plane in guide], mean(small.probability)
    with_target = [
        mean(plane * small.probability) - average * expected
        for plane, average in zip(guide, colour, strict=True)
    ]
    slopes = _solve(_covariance(guide, colour, mean), with_target)
    offset = expected - sum(slope * average for slope, average in zip(slopes, colour, strict=True))
    low, high = ALPHA_RANGE
    alpha = small.enlarged((mean(offset) - np.float32(low)) / np.float32(high - low))
    for plane, slope in zip(cv2.split(crop), slopes, strict=True):
        share = mean(slope) / np.float32(255 * (high - low))
        cv2.accumulateProduct(plane.astype(np.float32), small.enlarged(share), alpha)
    return np.clip(alpha, 0, 1, out=alpha)


def _covariance(
    guide: list[Array], colour: list[Array], mean: Callable[[Array], Array]
) -> list[Array]:
    """Covariances of the colours in windows, with an edge's variance added: rr rg rb gg gb bb."""
    made = []
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        product = mean(guide[i] * guide[j]) - colour[i] * colour[j]
        made.append(product + np.float32(FILTER_EPSILON * (i == j)))
    return made


def _solve(matrix: list[Array], right: list[Array]) -> list[Array]:
    """Solutions, three of [h, w], of symmetric 3 x 3 systems, by Cramer's rule."""
    rr, rg, rb, gg, gb, bb = matrix
    r, g, b = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    determinant = rr * r + rg * g + rb * b
    gb_, bb_, gg_ = rg * rb - rr * gb, rr * gg - rg * rg, rr * bb - rb * rb
    x, y, z = right
    rows = (r * x + g * y + b * z, g * x + gg_ * y + gb_ * z, b * x + gb_ * y + bb_ * z)
    return [row / determinant for row in rows]


def _keep_person(alpha: Array, on_face: NDArray[np.uint8], height: float) -> None:
    """Take what is not joined to the face out of alpha, and fill holes in the person, in place."""
    _, labels = cv2.connectedComponents(mask_where(alpha > 0.5) | on_face)
    # The face is convex, so all of it has one label; here it is widest.
    row = int((on_face > 0).sum(1).argmax())
    others = mask_where(labels != labels[row, on_face[row].argmax()])
    # What the background does not reach from the picture's border is inside.
    outside = np.pad(others, 1, constant_values=255)
    cv2.floodFill(outside, None, (0, 0), (128,))
    beside = np.nonzero(others & mask_where(alpha > 0))
    away = np.asarray(cv2.distanceTransform(others, cv2.DIST_L2, 5), np.float32)[beside] / height
    alpha[beside] *= 1 - smoothstep(away, 0.5 * NEAR_PERSON, NEAR_PERSON)
    alpha[(outside[1:-1, 1:-1] == 255) | (on_face > 0)] = 1


def _cut_at_neighbours(alpha: Array, frame: HeadFrame, neighbours: tuple[Neighbour, ...]) -> None:
    """Set alpha to 0 in the parts of other faces, in place."""
    if not neighbours:
        return
    rows_columns = np.indices(alpha.shape, np.float32)
    for other in neighbours:
        x, y = rows_columns[1], rows_columns[0]
        along, end = towards(other, frame.origin[:2], frame.height, x, y)
        alpha[along > end + BEYOND_THE_LINE] = 0


def _sharpness(small: _Small) -> Array:
    """How narrow the band is in which the network hesitates: 1 sharp, 0 wide, [h, w].

    Over a linear ramp, 4 p (1 - p) integrates to two thirds of its width, and the slope to 1.
    """
    probability, reach = small.probability, TRUST_REACH * small.height
    hesitates = gaussian_blur(4 * probability * (1 - probability), reach)
    across = cv2.Sobel(probability, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(probability, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = gaussian_blur(np.hypot(across, down).astype(np.float32), reach)
    least = 0.02 / small.height  # of a slope: far from all edges the matte is certain
    width = RAMP_MEAN * hesitates / (slope + least) / small.height
    return (1 - smoothstep(width, SHARP, UNCERTAIN)).astype(np.float32)


def _contrast(small: _Small, alpha: Array) -> Array:
    """How different the colours on both sides of the edge are: 1 different, 0 the same, [h, w].

    An edge between pixels of one colour runs across a thing, of which a half would stay behind.
    """
    person = cv2.resize(alpha, small.size, interpolation=cv2.INTER_AREA)
    reach = SIDE_REACH * small.height
    sides = []
    for is_there in ((person > 1 - SIDE_ALPHA), (person < SIDE_ALPHA)):
        there = is_there.astype(np.float32)
        share = gaussian_blur(there, reach)
        known = np.maximum(share, np.float32(1e-3))
        sides.append(([gaussian_blur(one * there, reach) / known for one in small.planes], share))
    (inside, is_inside), (outside, is_outside) = sides
    at_edge = 4 * np.minimum(is_inside, is_outside)
    differences = [np.abs(one - other) for one, other in zip(inside, outside, strict=True)]
    different = smoothstep(np.maximum.reduce(differences), *DIFFERENT)
    spread = TRUST_REACH / 2 * small.height
    weight = gaussian_blur((at_edge * at_edge).astype(np.float32), spread)
    mean = gaussian_blur((at_edge * at_edge * different).astype(np.float32), spread)
    return ((mean + LEAST_EDGE) / (weight + LEAST_EDGE)).astype(np.float32)
