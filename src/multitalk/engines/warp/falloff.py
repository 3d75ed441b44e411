"""Falloff of a head's fields: full on the face, fading around it, zero on neighbours.

All sizes are set by eye on rendered talks: large enough that hair and neck move along, small enough
that straight lines of the background do not bend.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.displacement import Grid
from multitalk.engines.warp.face_frame import HeadFrame, MouthLayout
from multitalk.engines.warp.matte import Matte
from multitalk.engines.warp.neighbours import Neighbour, towards
from multitalk.engines.warp.smoothing import smoothstep
from multitalk.face import mesh

# Face heights from the face's centre over which all movement fades to zero.
FADE_STARTS, FADE_ENDS = 1.1, 1.5
# Fade towards a neighbour: the smaller of face heights and of the way to the neighbour's part.
NEIGHBOUR_FADE_OF_HEIGHT, NEIGHBOUR_FADE_OF_WAY = 0.35, 0.9

# Expressions fade over these face heights outside the outline.
BESIDE_THE_JAW, BELOW_THE_CHIN = 0.10, 0.42
OUTLINE_SCALE, OUTLINE_MARGIN = 1.02, 0.01  # of the outline; face heights that stay in full
NECK_SIDE, NECK_FADE = 0.12, 0.22  # face widths beside cheeks and chin: neck, and its fade
NECK_TOP, NECK_FULL = -0.12, 0.02  # face heights below the chin over which the neck begins

# Head movements: half axes of the ellipse that moves in full, and the radius where it ends.
HEAD_SIDE, HEAD_UP, HEAD_DOWN = 0.62, 0.80, 0.62  # face widths, face heights up and down
HEAD_RADIUS_ENDS = 2.05  # of that ellipse
NECK_FOLLOWS = 0.25  # share of a head movement that remains of it at the lower neck
NECK_FOLLOWS_FROM, NECK_FOLLOWS_TO = 0.5, 1.2  # face heights below the centre: from the chin
# Face heights below the centre over which a head's movement ends where its silhouette is certain:
# from the chin, which is a part of the skull.
HEAD_ENDS = (0.5, 1.05)
BORDER_FADE = (-0.02, 0.30)  # face heights inside the region's border
# Share of a movement in and out that remains at the border, where a head is cut off by the
# picture's edge: without any, its hair would be torn; with all, more of it would have to be made
# up. Along the edge it moves in full.
LOOSE_AT_THE_BORDER = 0.4

CUT_OFF_ALPHA = 0.3  # on the region's border, from which a person goes on beyond it

# Outlines of the face, as factors, and points per side of the region's border, that are held.
RING_SCALES, BORDER_POINTS = (1.25, 1.6), 7
# The skin under the chin follows the jaw, less far than the chin, or it would be a second one:
# share of the lips' gap at most, falloffs in face heights and widths.
UNDER_CHIN_FOLLOWS, UNDER_CHIN_DOWN, UNDER_CHIN_SIDE = 0.25, 0.38, 0.33


@dataclass(frozen=True)
class Silhouette:
    """What is known of a person's outline.

    Attributes:
        certainty: How far to trust it, 0..1 on a lattice, [rows, columns].
        cut_off: Whether the person goes on beyond the lattice's left, right, top, bottom.
    """

    certainty: NDArray[np.floating]
    cut_off: tuple[bool, bool, bool, bool]

    @classmethod
    def of(cls, matte: Matte, grid: Grid) -> "Silhouette":
        """That of a matte."""
        x, y = grid.coordinates()
        limit = np.array(matte.alpha.shape) - 1
        rows, columns = np.minimum(y, limit[0]).astype(int), np.minimum(x, limit[1]).astype(int)
        alpha = matte.cover[rows, columns]
        edges = (alpha[:, 0], alpha[:, -1], alpha[0], alpha[-1])
        left, right, top, bottom = (bool((edge > CUT_OFF_ALPHA).any()) for edge in edges)
        return cls(matte.certainty[rows, columns], (left, right, top, bottom))


@dataclass(frozen=True)
class Anchors:
    """Points around the face that hold the fields still; below the chin they follow the jaw.

    Attributes:
        rings: Two enlarged outlines of the face, [2 * 36, 2] pixels.
        border: Points on the region's border, [28, 2] pixels.
        chin_pull: Displacement of `rings` under `open`, pixels [72, 2].
    """

    rings: NDArray[np.float64]
    border: NDArray[np.float64]
    chin_pull: NDArray[np.float64]

    @classmethod
    def around(
        cls, points: NDArray[np.float64], frame: HeadFrame, layout: MouthLayout, grid: Grid
    ) -> "Anchors":
        """The anchors of a head's landmarks [478, 3]."""
        outline = points[list(mesh.OVAL), :2]
        middle = outline.mean(0)
        rings = np.concatenate([middle + (outline - middle) * k for k in RING_SCALES])
        x, y = grid.coordinates()
        columns = np.linspace(x[0, 0], x[0, -1], BORDER_POINTS)
        rows = np.linspace(y[0, 0], y[-1, 0], BORDER_POINTS)
        border = np.concatenate(
            [
                *(np.stack([columns, np.full(BORDER_POINTS, row)], 1) for row in rows[[0, -1]]),
                *(np.stack([np.full(BORDER_POINTS, one), rows], 1) for one in columns[[0, -1]]),
            ]
        )
        at_chin_depth = np.concatenate([rings, np.full((len(rings), 1), points[mesh.CHIN, 2])], 1)
        local = (at_chin_depth - frame.origin) @ frame.axes.T
        under = (local[:, 1] - frame.local[mesh.CHIN, 1]) / frame.height
        beside = local[:, 0] / (UNDER_CHIN_SIDE * frame.width)
        skin = (1 - smoothstep(under, 0, UNDER_CHIN_DOWN)) * np.exp(-(beside**2))
        follows = np.where(under > 0, skin, 0)
        pull = UNDER_CHIN_FOLLOWS * layout.max_gap * follows[:, None] * frame.axes[1, :2]
        return cls(rings, border, pull)


def expression_falloff(
    points: NDArray[np.float64], frame: HeadFrame, grid: Grid
) -> NDArray[np.float64]:
    """Weight [rows, columns]: 1 on the face, 0 a little outside it, later below the chin."""
    x, y = grid.coordinates()
    # The hull of all landmarks: lips and nose of a turned head protrude beyond its oval.
    face = points[: mesh.NUM_FACE_POINTS, :2].astype(np.float32)
    outline = cv2.convexHull(face)[:, 0]
    middle = points[list(mesh.OVAL), :2].mean(0)
    enlarged = middle + (outline - middle) * OUTLINE_SCALE
    on_lattice = (enlarged - (grid.x, grid.y)) / grid.step
    outside = np.ones(grid.shape, np.uint8)
    cv2.fillPoly(outside, [on_lattice.round().astype(np.int32)], 0)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 5) * grid.step / frame.height
    neck = _on_neck(points, frame, x, y)
    fade_ends = BESIDE_THE_JAW + (BELOW_THE_CHIN - BESIDE_THE_JAW) * neck
    faded = ((away - OUTLINE_MARGIN) / (fade_ends - OUTLINE_MARGIN)).astype(np.float64)
    return (1 - smoothstep(faded, 0, 1)).astype(np.float64)


def _on_neck(
    points: NDArray[np.float64],
    frame: HeadFrame,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> NDArray[np.floating]:
    """1 below the chin, 0 beside it: [rows, columns].

    The neck may stretch. Beside the jaw, and before the chin of a turned head, is background.
    """
    cheeks = (points[mesh.RIGHT_CHEEK] + points[mesh.LEFT_CHEEK]) / 2
    chin = points[mesh.CHIN]
    to_right = 2 * np.sin(np.radians(frame.yaw_degrees))
    left_side, right_side = (float(np.clip(1 - way, 0.5, 1)) for way in (-to_right, to_right))
    beyond_left = min(cheeks[0], chin[0]) - NECK_SIDE * left_side * frame.width - x
    beyond_right = x - max(cheeks[0], chin[0]) - NECK_SIDE * right_side * frame.width
    beyond = np.maximum(beyond_left / left_side, beyond_right / right_side)
    off_neck = np.maximum(beyond / frame.width, 0)
    below = smoothstep((y - chin[1]) / frame.height, NECK_TOP, NECK_FULL)
    return (1 - smoothstep(off_neck, 0, NECK_FADE)) * below


def head_falloff(
    frame: HeadFrame, grid: Grid, seen: "Silhouette | None" = None
) -> NDArray[np.float64]:
    """Weight [rows, columns, 2] of sideways movement and of that up and down.

    It is 1 on face and hair, fading over neck, surroundings and border. Where the person's
    silhouette is certain, the head moves as a whole as far as its hair goes, and not at all below
    the neck: what is around it has a layer of its own. Elsewhere its movement fades over what is
    around it.
    """
    x, y = grid.coordinates()
    flat = np.stack([x - frame.origin[0], y - frame.origin[1], np.zeros_like(x)], -1)
    right = flat @ frame.axes[0] / frame.width
    down = flat @ frame.axes[1] / frame.height
    radius = np.hypot(right / HEAD_SIDE, np.where(down < 0, down / HEAD_UP, down / HEAD_DOWN))
    on_head = 1 - smoothstep(radius, 1.0, HEAD_RADIUS_ENDS)
    on_neck = 1 - (1 - NECK_FOLLOWS) * smoothstep(down, NECK_FOLLOWS_FROM, NECK_FOLLOWS_TO)
    weight = on_head * on_neck
    cut_off = (True, True, True, True)
    if seen is not None:
        weight = weight + seen.certainty * (1 - smoothstep(down, *HEAD_ENDS) - weight)
        cut_off = seen.cut_off
    inwards = [x - x[0, 0], x[0, -1] - x, y - y[0, 0], y[-1, 0] - y]
    loose = [
        _at_borders(inwards[first : first + 2], cut_off[first : first + 2], frame.height)
        for first in (0, 2)
    ]
    return np.stack([weight * one for one in loose], -1).astype(np.float64)


def _at_borders(
    inwards: list[NDArray[np.float64]], cut_off: tuple[bool, ...], height: float
) -> NDArray[np.float64]:
    """Share of a movement across two opposite borders that remains near them, [rows, columns].

    Args:
        inwards: Pixels from each of them, [rows, columns].
        cut_off: Whether a head goes on beyond it.
        height: Of the face, pixels.
    """
    share = np.ones(inwards[0].shape)
    for way, is_cut in zip(inwards, cut_off, strict=True):
        if is_cut:
            inside = smoothstep(way, BORDER_FADE[0] * height, BORDER_FADE[1] * height)
            share = np.minimum(share, LOOSE_AT_THE_BORDER + (1 - LOOSE_AT_THE_BORDER) * inside)
    return share


def neighbour_mask(
    coordinates: tuple[NDArray[np.float64], NDArray[np.float64]],
    centre: NDArray[np.float64],
    neighbours: tuple[Neighbour, ...],
    height: float,
) -> NDArray[np.float64]:
    """Weight [rows, columns]: 1 near this face, 0 far away and where a neighbour's part begins.

    Args:
        coordinates: Columns and rows of the lattice points, [rows, columns] each.
        centre: Of this face, (x, y) pixels.
        neighbours: The other faces.
        height: Face height, pixels.
    """
    x, y = coordinates
    away = np.hypot(x - centre[0], y - centre[1]) / height
    weight = (1 - smoothstep(away, FADE_STARTS, FADE_ENDS)).astype(np.float64)
    for other in neighbours:
        along, end = towards(other, centre, height, x, y)
        fade = min(NEIGHBOUR_FADE_OF_HEIGHT * height, NEIGHBOUR_FADE_OF_WAY * end)
        weight *= 1 - smoothstep(along, end - fade, end)
    return weight
