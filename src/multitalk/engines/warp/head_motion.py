"""Displacement fields of head and shoulders: rotations about the neck, shifts, breathing."""

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.displacement import Grid
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.falloff import Anchors
from multitalk.engines.warp.head_depth import depth_behind_axis
from multitalk.engines.warp.smoothing import smoothstep

# Weights of these are radians (rotations), shares of the face's width (`shift_x`), height
# (`shift_y`) and size (`swell`); `breathe` lifts head and chest, in face heights; `narrow`
# and `shorten` take shares of widths and heights (`foreshortening`); `body_x` and `body_y` shift
# the shoulders (face widths, face heights), and the neck where the head does not.
MOTIONS = (
    *("yaw", "pitch", "roll", "shift_x", "shift_y", "swell", "breathe", "narrow", "shorten"),
    *("body_x", "body_y"),
)

NECK = 0.62  # face heights below the head's centre: the neck's pivot
NECK_BENDS = 0.05  # face heights by which it goes aside at its pivot, per radian of roll
# Face heights from the head to the camera: some 1.2 m. On films jaws become narrower by 1 % more in
# 10 degrees of nod than without perspective, beside the eyes.
VIEWED_FROM = 6.0
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
        falloff: `head_falloff` times `mask`, [rows, columns, 2].
        mask: `neighbour_mask`, [rows, columns].
    """
    x, y = grid.coordinates()
    behind = depth_behind_axis(points, frame, anchors, grid)
    neck_x, neck_y = (frame.origin + frame.axes[1] * NECK * frame.height)[:2]
    fields = {name: np.zeros((*grid.shape, 2)) for name in MOTIONS}
    # A rotation by a small angle displaces a point by the angle times its distance from the axis,
    # to first order; to second order it also comes nearer to the axis, or noses would grow longer.
    fields["yaw"][..., 0] = -behind
    fields["pitch"][..., 1] = behind
    # What comes nearer looks larger: a side of a turning head, forehead or chin of one that nods.
    aside, down = x - frame.origin[0], y - frame.origin[1]
    nearer = {"yaw": -aside, "pitch": down}
    for name, way in nearer.items():
        larger = way / (VIEWED_FROM * frame.height)
        fields[name] += np.stack([aside, down], -1) * larger[..., None]
    fields["narrow"][..., 0] = -aside
    fields["shorten"][..., 1] = -down
    # The neck bends: what is below the pivot does not swing to the other side.
    above = (neck_y - y) / 2
    fields["roll"][..., 0] = above + np.hypot(above, NECK_BENDS * frame.height)
    fields["roll"][..., 1] = x - neck_x
    fields["shift_x"][..., 0] = frame.width
    fields["shift_y"][..., 1] = frame.height
    fields["swell"][..., 0], fields["swell"][..., 1] = x - neck_x, y - neck_y
    for name in MOTIONS:  # those of the body are still empty
        fields[name] *= falloff
    # The head's falloff hardly reaches the chest.
    chest = _chest(x, (y - neck_y) / frame.height, neck_x, frame)
    lifted = np.maximum(chest, HEAD_BREATHES * falloff[..., 1]) * mask
    fields["breathe"][..., 1] = -frame.height * lifted
    shoulders = np.maximum((chest * mask)[..., None] - falloff, 0)
    fields["body_x"][..., 0] = frame.width * shoulders[..., 0]
    fields["body_y"][..., 1] = frame.height * shoulders[..., 1]
    return np.stack([fields[name] for name in MOTIONS])


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
