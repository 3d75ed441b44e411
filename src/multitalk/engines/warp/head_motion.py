"""Displacement fields of head and shoulders: rotations about the neck, shifts, breathing."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.displacement import Grid
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.falloff import Anchors
from multitalk.engines.warp.smoothing import smoothstep, thin_plate
from multitalk.face import mesh

# Weights of these are radians (rotations), shares of the face's width (`shift_x`), height
# (`shift_y`) and size (`swell`); `breathe` lifts head and chest, in face heights; `narrow`
# and `shorten` take shares of widths and heights (`foreshortening`); `body_x` and `body_y` shift
# the shoulders (face widths, face heights), and the neck where the head does not.
MOTIONS = (
    *("yaw", "pitch", "roll", "shift_x", "shift_y", "swell", "breathe", "narrow", "shorten"),
    *("body_x", "body_y"),
)

# Anatomy, as shares of the face: the neck's pivot, and the depth behind the ears of the axis of
# yaw and pitch, of the outer ring and of the region's border.
NECK = 0.62  # face heights below the head's centre
AXIS_DEPTH = 0.10  # face heights
RING_DEPTH, BORDER_DEPTH = 0.05, 0.10  # face widths
# Places beside the ears, shares of the way out from the face's centre, and how much deeper they
# are than the outline, per pixel of that way. The mesh ends there, as steep as a ball's edge.
EAR_SHARES, EAR_SLOPE = (0.1, 0.22), 0.5
DEPTH_STEP = 2  # of the lattice: depth is smooth, and is interpolated in between
DEPTH_SMOOTHING = 1e-3  # of the thin plate through the landmarks' depths

HEAD_BREATHES = 0.6  # share of the chest's lift

# The chest: face heights below the neck over which it begins and ends, face widths beside it over
# which it ends, and face heights inside the region's border over which it begins.
CHEST_BEGINS, CHEST_ENDS = (-0.35, 0.45), (0.6, 1.25)
CHEST_SIDE, CHEST_BORDER = (0.7, 1.5), 0.25


def foreshortening(yaw: float, pitch: float) -> tuple[float, float]:
    """Weights of `narrow` and `shorten` for a turn and a nod, radians.

    Shares of widths and heights that are lost: 1 - cos, the second order of a rotation.
    """
    return 1 - float(np.cos(yaw)), 1 - float(np.cos(pitch))


def motion_fields(
    *,
    points: NDArray[np.float64],
    frame: HeadFrame,
    anchors: Anchors,
    grid: Grid,
    falloff: NDArray[np.float64],
    mask: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Displacement for weight 1 of each of `MOTIONS`, pixels [M, rows, columns, 2].

    Args:
        points: Landmarks [478, 3], pixels.
        frame: Of the head.
        anchors: Around the face.
        grid: The lattice.
        falloff: `head_falloff` times `mask`, [rows, columns].
        mask: `neighbour_mask`, [rows, columns].
    """
    x, y = grid.coordinates()
    behind = _depth_behind_axis(points, frame, anchors, grid)
    neck_x, neck_y = (frame.origin + frame.axes[1] * NECK * frame.height)[:2]
    fields = {name: np.zeros((*grid.shape, 2)) for name in MOTIONS}
    # A rotation by a small angle displaces a point by the angle times its distance from the axis,
    # to first order; to second order it also comes nearer to the axis, or noses would grow longer.
    fields["yaw"][..., 0] = -behind
    fields["pitch"][..., 1] = behind
    fields["narrow"][..., 0] = frame.origin[0] - x
    fields["shorten"][..., 1] = frame.origin[1] - y
    fields["roll"][..., 0], fields["roll"][..., 1] = -(y - neck_y), x - neck_x
    fields["shift_x"][..., 0] = frame.width
    fields["shift_y"][..., 1] = frame.height
    fields["swell"][..., 0], fields["swell"][..., 1] = x - neck_x, y - neck_y
    for name in MOTIONS:  # those of the body are still empty
        fields[name] *= falloff[..., None]
    # The head's falloff hardly reaches the chest.
    chest = _chest(x, (y - neck_y) / frame.height, neck_x, frame)
    lifted = np.maximum(chest, HEAD_BREATHES * falloff) * mask
    fields["breathe"][..., 1] = -frame.height * lifted
    shoulders = np.maximum(chest * mask - falloff, 0)
    fields["body_x"][..., 0] = frame.width * shoulders
    fields["body_y"][..., 1] = frame.height * shoulders
    return np.stack([fields[name] for name in MOTIONS])


def _depth_behind_axis(
    points: NDArray[np.float64], frame: HeadFrame, anchors: Anchors, grid: Grid
) -> NDArray[np.floating]:
    """Depth behind the axis of yaw and pitch, pixels [rows, columns]; negative on the face."""
    x, y = (one[::DEPTH_STEP, ::DEPTH_STEP] for one in grid.coordinates())
    ear = (points[mesh.RIGHT_CHEEK, 2] + points[mesh.LEFT_CHEEK, 2]) / 2
    outer_ring = anchors.rings[len(mesh.OVAL) :]
    face = points[: mesh.NUM_FACE_POINTS]
    deepest = ear + RING_DEPTH * frame.width
    beside = _beside_the_ears(points, deepest)
    depths = np.concatenate(
        [
            face[:, 2],
            beside[:, 2],
            np.full(len(outer_ring), deepest),
            np.full(len(anchors.border), ear + BORDER_DEPTH * frame.width),
        ]
    )
    depth = thin_plate(
        np.concatenate([face[:, :2], beside[:, :2], outer_ring, anchors.border]),
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
    return np.asarray(everywhere, np.float64) - (ear + AXIS_DEPTH * frame.height)


def _beside_the_ears(points: NDArray[np.float64], deepest: float) -> NDArray[np.float64]:
    """Places on ears and hair, [N, 3] pixels: deeper than the outline beside them by `EAR_SLOPE`.

    `deepest` is the depth of the outer ring, beyond which none is: on a turned head's far side the
    outline itself is deeper.
    """
    outline = points[list(mesh.TEMPLES)]
    away = outline[:, :2] - points[list(mesh.OVAL), :2].mean(0)
    places = [
        np.column_stack(
            [
                outline[:, :2] + share * away,
                outline[:, 2] + EAR_SLOPE * share * np.linalg.norm(away, axis=1),
            ]
        )
        for share in EAR_SHARES
    ]
    beside = np.concatenate(places)
    beside[:, 2] = np.minimum(beside[:, 2], deepest)
    return beside


def _chest(
    x: NDArray[np.float64], down: NDArray[np.float64], neck_x: float, frame: HeadFrame
) -> NDArray[np.floating]:
    """1 on the chest, [rows, columns]; `down` is face heights below the neck's pivot."""
    beside = np.abs(x - neck_x) / frame.width
    border = np.minimum.reduce([x - x[0, 0], x[0, -1] - x])
    return (
        smoothstep(down, *CHEST_BEGINS)
        * (1 - smoothstep(beside, *CHEST_SIDE))
        * smoothstep(border, 0, CHEST_BORDER * frame.height)
        * (1 - smoothstep(down, *CHEST_ENDS))
    )
