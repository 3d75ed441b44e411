"""Depth of a head: how far in front of the axis of its turns and nods each place is.

A turn moves a place by the angle times its depth, so the slope of the depth, times the angle, is
how much the picture is stretched there. A face is steep at its outline, as a ball is. If the slope
were greatest there, a turn would smear the outline. So the depth is the same on both sides of the
outline, and steep only on the skin inside it: what a turn brings into view is made of the cheek.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.displacement import Grid
from multitalk.engines.warp.face_frame import HeadFrame, distance_inside_outline
from multitalk.engines.warp.falloff import Anchors
from multitalk.engines.warp.smoothing import ramp, smoothstep, thin_plate
from multitalk.face import mesh

# Anatomy, as shares of the face: the depth behind the ears of the axis of yaw and pitch, of the
# outer ring and of the region's border.
AXIS_DEPTH = 0.10  # face heights
RING_DEPTH, BORDER_DEPTH = 0.05, 0.10  # face widths
# Face widths inside the outline over which depths are moved inwards, and pixels of depth per pixel
# that no slope there exceeds: 12 degrees of turn would press 0.94 of the skin together.
RIM, STEEPEST = 0.20, 4.5
# Face widths on both sides of the outline in which the depth is constant: landmarks of the outline
# are that far from the edge that is seen, at most.
OUTLINE_FLAT = 0.04
# Face widths outside the outline of places on ears and hair, and how much deeper they are than the
# outline, per pixel of that way.
EAR_PLACES, EAR_SLOPE, CROWN_SLOPE = (0.12, 0.22), 0.5, 0.8
# The jaw's edge is a drop: the neck is that far (face heights) behind the ears from so many face
# widths on below it, and hardly turns. On films it does so from the edge on; skin that changes its
# size by more than a third would fold.
JAW_FLAT, NECK_PLACES, NECK_DEPTH = 0.025, (0.14, 0.24), 0.05
# Of a head photographed from its side, the far outline is hidden, and what is close behind may be
# moved with it: degrees of yaw, and half face widths aside, over which its depth is left as it is.
TURNED, FAR_SIDE = (8.0, 22.0), (0.0, 0.6)
# The mesh of a level face leans by this slope, its chin too deep, as its photographs' pitch does:
# six clips against the mesh of their first frame say .03 to .07, from turns and from nods.
MESH_LEANS = 0.05
LEANS_WITHIN = 0.65  # face heights above and below the face's centre
DEPTH_STEP = 2  # of the lattice: depth is smooth, and is interpolated in between
DEPTH_SMOOTHING = 1e-3  # of the thin plate through the landmarks' depths


def depth_behind_axis(
    points: NDArray[np.float64], frame: HeadFrame, anchors: Anchors, grid: Grid
) -> NDArray[np.floating]:
    """Depth behind the axis of yaw and pitch, pixels [rows, columns]; negative on the face.

    Args:
        points: Landmarks [478, 3], pixels.
        frame: Of the head.
        anchors: Around the face.
        grid: The lattice.
    """
    x, y = (one[::DEPTH_STEP, ::DEPTH_STEP] for one in grid.coordinates())
    ear = (points[mesh.RIGHT_CHEEK, 2] + points[mesh.LEFT_CHEEK, 2]) / 2
    outer_ring = anchors.rings[len(mesh.OVAL) :]
    deepest = ear + RING_DEPTH * frame.width
    mesh_points = points[: mesh.NUM_FACE_POINTS]
    seen = _outline_seen(frame)
    face = _drawn_in(mesh_points, frame, seen)
    outline = list(mesh.OVAL)
    is_jaw = np.isin(mesh.OVAL, mesh.JAW)
    flat = np.where(is_jaw, JAW_FLAT, OUTLINE_FLAT) * frame.width * seen[outline]
    beside = _beside_the_outline(mesh_points, face[outline, 2], flat, frame.width, deepest)
    neck = _below_the_jaw(mesh_points, frame.width, ear + NECK_DEPTH * frame.height)
    depths = np.concatenate(
        [
            face[:, 2],
            beside[:, 2],
            neck[:, 2],
            np.full(len(outer_ring), deepest),
            np.full(len(anchors.border), ear + BORDER_DEPTH * frame.width),
        ]
    )
    depth = thin_plate(
        np.concatenate([face[:, :2], beside[:, :2], neck[:, :2], outer_ring, anchors.border]),
        depths[:, None],
        np.stack([x.ravel(), y.ravel()], 1),
        smoothing=DEPTH_SMOOTHING,
        scale=frame.height,
    ).reshape(x.shape)
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape[::-1])), -1).astype(np.float32)
    everywhere = cv2.remap(
        np.asarray(depth, np.float32),
        at / np.float32(DEPTH_STEP),
        None,  # type: ignore[call-overload]
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    down = _down_the_face(frame, grid)
    upright = everywhere.astype(np.float64) - MESH_LEANS * frame.height * down
    return upright - (ear + AXIS_DEPTH * frame.height)


def _down_the_face(frame: HeadFrame, grid: Grid) -> DoubleArray:
    """Face heights below the face's centre, as far as `LEANS_WITHIN`: [rows, columns]."""
    x, y = grid.coordinates()
    across, along = frame.axes[1, :2] / np.hypot(*frame.axes[1, :2])
    down = (x - frame.origin[0]) * across + (y - frame.origin[1]) * along
    return np.asarray(np.clip(down / frame.height, -LEANS_WITHIN, LEANS_WITHIN), np.float64)


def _drawn_in(face: NDArray[np.float64], frame: HeadFrame, seen: DoubleArray) -> DoubleArray:
    """Landmarks [468, 3], the outline's moved inwards by `OUTLINE_FLAT`, those beside it less.

    No place is so deep that the slope to any other is steeper than `STEEPEST`. Both hold as far as
    an outline is `seen`, [468].
    """
    inside = np.clip(distance_inside_outline(frame) / (RIM * frame.width), 0, 1)
    drawn = face.copy()
    inwards = (seen * (1 - inside))[:, None] * _away_from_centre(face, face)
    drawn[:, :2] -= OUTLINE_FLAT * frame.width * inwards
    near = np.flatnonzero(inside < 1)
    across, down = (drawn[near, None, axis] - drawn[None, :, axis] for axis in (0, 1))
    limited = (face[None, :, 2] + STEEPEST * np.hypot(across, down)).min(1)
    drawn[near, 2] += seen[near] * (limited - drawn[near, 2])
    return drawn


def _outline_seen(frame: HeadFrame) -> DoubleArray:
    """1 where the outline beside a landmark is seen, 0 on the far side of a turned head: [468]."""
    aside = frame.local[: mesh.NUM_FACE_POINTS, 0] / (frame.width / 2) * np.sign(frame.yaw_degrees)
    is_turned = ramp(abs(frame.yaw_degrees), *TURNED)
    return np.asarray(1 - is_turned * smoothstep(aside, *FAR_SIDE), np.float64)


def _away_from_centre(places: NDArray[np.float64], face: NDArray[np.float64]) -> DoubleArray:
    """Unit vectors [N, 2] from the middle of the face's outline to places [N, 3]."""
    away = places[:, :2] - face[list(mesh.OVAL), :2].mean(0)
    return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1.0)


def _beside_the_outline(
    face: NDArray[np.float64],
    depths: NDArray[np.float64],
    flat: DoubleArray,
    width: float,
    deepest: float,
) -> NDArray[np.float64]:
    """Places around the face, [N, 3] pixels: as deep as the outline, farther out deeper.

    Args:
        face: Landmarks [468, 3].
        depths: Of the outline's landmarks, [36].
        flat: How far out the outline's depth goes on, pixels [36].
        width: Of the face.
        deepest: Depth of the outer ring, beyond which none of ears and hair is: on a turned head's
            far side the outline itself is deeper.
    """
    outline = face[list(mesh.OVAL), :2]
    out = _away_from_centre(outline, face)
    places = [np.column_stack([outline + flat[:, None] * out, depths])]
    haired = np.isin(mesh.OVAL, (*mesh.TEMPLES, *mesh.CROWN))
    slope = np.where(np.isin(mesh.OVAL, mesh.CROWN), CROWN_SLOPE, EAR_SLOPE)
    for share in EAR_PLACES:
        deeper = depths + slope * (share * width - flat)
        ears = np.column_stack([outline + share * width * out, np.minimum(deeper, deepest)])
        places.append(ears[haired])
    return np.concatenate(places)


def _below_the_jaw(face: NDArray[np.float64], width: float, depth: float) -> NDArray[np.float64]:
    """Places on the neck at a depth, [N, 3] pixels, below landmarks [468, 3]."""
    jaw = face[list(mesh.JAW)]
    out = np.concatenate([_away_from_centre(jaw, face), np.zeros((len(jaw), 1))], 1)
    places = np.concatenate([jaw + share * width * out for share in NECK_PLACES])
    places[:, 2] = depth
    return places
