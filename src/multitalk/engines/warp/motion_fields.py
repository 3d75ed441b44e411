"""Where a head's movements act: in full on it, fading around it, never on a neighbour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.displacement import Grid
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.smoothing import smoothstep
from multitalk.face import mesh

# Face heights from the face's centre from which on nothing moves, and where that begins to fade.
FARTHEST, FADING = 1.5, 1.1
LOOSE_AT_THE_EDGE = 0.4  # of the head's movement
# Face heights outside the outline within which an expression fades: background bends no farther.
BESIDE_THE_JAW, BELOW_THE_CHIN = 0.10, 0.42


def expression_falloff(
    points: NDArray[np.float64], frame: HeadFrame, grid: Grid
) -> NDArray[np.float64]:
    """1 on the face, 0 a little way outside it, later below the chin: [rows, columns]."""
    x, y = grid.coordinates()
    # Of all landmarks: the lips and the nose of a turned head stand out over its oval.
    outline = cv2.convexHull(points[: mesh.NUM_FACE_POINTS, :2].astype(np.float32))[:, 0]
    middle = points[list(mesh.OVAL), :2].mean(0)
    on_lattice = (middle + (outline - middle) * 1.02 - (grid.x, grid.y)) / grid.step
    outside = np.ones(grid.shape, np.uint8)
    cv2.fillPoly(outside, [on_lattice.round().astype(np.int32)], 0)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 5) * grid.step / frame.height
    # Below the chin there is neck, which may stretch; beside the jaw there is background, and also
    # before the chin of a turned head.
    between = (points[mesh.RIGHT_CHEEK] + points[mesh.LEFT_CHEEK]) / 2
    chin = points[mesh.CHIN]
    to_right = 2 * np.sin(np.radians(frame.yaw_degrees))
    behind_left, behind_right = (float(np.clip(1 - way, 0.5, 1)) for way in (-to_right, to_right))
    beyond_left = min(between[0], chin[0]) - 0.12 * behind_left * frame.width - x
    beyond_right = x - max(between[0], chin[0]) - 0.12 * behind_right * frame.width
    off_neck = np.maximum(
        np.maximum(beyond_left / behind_left, beyond_right / behind_right) / frame.width, 0
    )
    neck = (1 - smoothstep(off_neck, 0, 0.22)) * smoothstep(
        (y - chin[1]) / frame.height, -0.12, 0.02
    )
    fade_end = BESIDE_THE_JAW + (BELOW_THE_CHIN - BESIDE_THE_JAW) * neck
    faded = ((away - 0.01) / (fade_end - 0.01)).astype(np.float64)
    return (1 - smoothstep(faded, 0, 1)).astype(np.float64)


def head_falloff(frame: HeadFrame, grid: Grid) -> NDArray[np.float64]:
    """1 on face and hair, fading over neck and surroundings and, in part, to the region's border.

    Where a head is cut off by the picture's edge, it comes in and goes out by `LOOSE_AT_THE_EDGE`:
    held fast there its hair would be torn, and moved in full more would have to be made up.
    """
    x, y = grid.coordinates()
    flat = np.stack([x - frame.origin[0], y - frame.origin[1], np.zeros_like(x)], -1)
    right = flat @ frame.axes[0] / frame.width
    down = flat @ frame.axes[1] / frame.height
    radius = np.hypot(right / 0.62, np.where(down < 0, down / 0.80, down / 0.62))
    on_head = 1 - smoothstep(radius, 1.0, 2.05)
    on_neck = 1 - 0.75 * smoothstep(down, 0.35, 1.2)
    border = np.minimum.reduce([x - x[0, 0], x[0, -1] - x, y - y[0, 0], y[-1, 0] - y])
    at_border = smoothstep(border, -0.02 * frame.height, 0.30 * frame.height)
    at_border = LOOSE_AT_THE_EDGE + (1 - LOOSE_AT_THE_EDGE) * at_border
    return (on_head * on_neck * at_border).astype(np.float64)


def neighbour_mask(
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    centre: NDArray[np.float64],
    neighbours: tuple[NDArray[np.float64], ...],
    height: float,
) -> NDArray[np.float64]:
    """What may move at all: 0 far away and from the line half-way to each neighbour on, else 1."""
    x, y = places
    away = np.hypot(x - centre[0], y - centre[1]) / height
    own = (1 - smoothstep(away, FADING, FARTHEST)).astype(np.float64)
    for other in neighbours:
        towards = other - centre
        length = float(np.hypot(*towards))
        along = ((x - centre[0]) * towards[0] + (y - centre[1]) * towards[1]) / length
        ramp_width = min(0.35 * height, 0.45 * length)
        own *= 1 - smoothstep(along, length / 2 - ramp_width, length / 2)
    return own
