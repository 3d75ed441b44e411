"""Dental arch: rows of teeth as curves in depth, which turn, nod and tilt with the head.

Seen from in front a row is flat; its molars are some 40 mm behind its incisors. So a head that
turns or nods by a few degrees moves one end of the row against its middle by millimetres, and a
jaw, which opens around its joints, lowers its incisors more than its molars.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array, DoubleArray
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.head_motion import MOTIONS
from multitalk.engines.warp.sprite import Sprite
from multitalk.engines.warp.teeth import MM

# Depth of a place of the row behind its incisors: so much times u squared, dental units. Adults'
# first molars are 24 mm to each side and 30 mm back.
ARCH_DEPTH = 2.8
# The direction of depth in the picture, (right, down) per unit, for which sprites are drawn: of a
# face as people hold it before a camera, seen from 8 degrees above. Limits of what is beyond that.
DRAWN_BEHIND, BEHIND_LIMIT = (0.0, -0.14), 0.30
PITCH_SHARE = 0.7  # of a photograph's pitch, which is measured less well than its yaw
BEHIND_LIPS = 7 * MM  # depth of the incisors behind the line between the lips, dental units
HINGE = 100 * MM  # from the jaw's joints to the lower incisors, dental units
FOLDED = 0.05  # of what a root is taken of: the row is seen edge on
STRAIGHT = 1e-3  # least bend to a side, per dental unit: it is divided by


@dataclass(frozen=True)
class HeadTurn:
    """How a head is turned in a frame, against the photograph.

    Attributes:
        linear: Turns and scales directions in the picture, [2, 2].
        behind: Shift of a place that is one pixel deeper, (x, y) pixels.
    """

    linear: DoubleArray = field(default_factory=lambda: np.eye(2))
    behind: DoubleArray = field(default_factory=lambda: np.zeros(2))

    @classmethod
    def of(cls, weights: Array) -> "HeadTurn":
        """From the weights of `MOTIONS`, [M]; see `head_motion.head_motions`."""
        of = dict(zip(MOTIONS, weights.tolist(), strict=True))
        linear = np.array(
            [
                [1 + of["swell"] - of["narrow"], -of["roll"]],
                [of["roll"], 1 + of["swell"] - of["shorten"]],
            ]
        )
        return cls(linear, np.array([-of["yaw"], of["pitch"]]))


@dataclass(frozen=True)
class DentalAxes:
    """Dental units in the picture, all in pixels (x, y).

    Attributes:
        right: Along u.
        down: Along v.
        behind: Into the depth.
    """

    right: DoubleArray
    down: DoubleArray
    behind: DoubleArray

    @classmethod
    def of(cls, frame: HeadFrame, unit: float) -> "DentalAxes":
        """Of a photographed head; `unit` is a dental unit in pixels."""
        right, down = frame.axes[0, :2] * unit, frame.axes[1, :2] * unit
        usual = np.array(DRAWN_BEHIND)
        behind = (frame.axes[2, :2] - usual) * (1, PITCH_SHARE)
        limited = np.clip(behind, -BEHIND_LIMIT, BEHIND_LIMIT)
        return cls(right, down, (usual + limited) * unit)

    def turned(self, turn: HeadTurn, unit: float) -> "DentalAxes":
        """The axes in a frame."""
        return DentalAxes(
            turn.linear @ self.right, turn.linear @ self.down, self.behind + turn.behind * unit
        )

    def place_row(
        self,
        sprite: Sprite,
        density: float,
        origin: NDArray[np.floating],
        size: tuple[int, int],
        *,
        drop: float = 0.0,
    ) -> Array:
        """A row of teeth as it is seen, premultiplied colour and cover, float32 [h, w, 4].

        A pixel p is the place (u, v) of which p = origin + u right + v down + u^2 bend.

        Args:
            sprite: Drawn for `DRAWN_BEHIND`.
            density: Of the sprite, pixels per dental unit.
            origin: Pixel (x, y) of the sprite's origin.
            size: (width, height).
            drop: Of a jaw that holds the row, dental units.
        """
        (a, c), (b, d), (far_x, far_y) = (
            axis.tolist() for axis in (self.right, self.down, self.behind)
        )
        level = DRAWN_BEHIND[1] + drop / HINGE
        bend_x, bend_y = ARCH_DEPTH * (far_x - level * b), ARCH_DEPTH * (far_y - level * d)
        area = a * d - b * c
        aside, raised = (d * bend_x - b * bend_y) / area, (a * bend_y - c * bend_x) / area
        aside = math.copysign(max(abs(aside), STRAIGHT), aside)
        # p = (x, y) is (x d - y b, y a - x c) / area in units; the first is u + aside u^2.
        x, y = (
            np.arange(n, dtype=np.float32) - np.float32(at)
            for n, at in zip(size, origin, strict=True)
        )
        across = 4 * aside / area
        under_root = np.add.outer(np.float32(-across * b) * y, 1 + np.float32(across * d) * x)
        root = cv2.sqrt(np.maximum(under_root, np.float32(FOLDED)))
        u = cv2.addWeighted(root, 1 / (2 * aside), root, 0, -1 / (2 * aside))
        v = np.add.outer(np.float32(a / area) * y, np.float32(-c / area) * x)
        v = cv2.scaleAdd(cv2.multiply(u, u), -raised, v)
        column, row = (
            cv2.addWeighted(place, density, place, 0, start)
            for place, start in zip((u, v), sprite.origin, strict=True)
        )
        seen = cv2.remap(
            sprite.pixels, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return seen.astype(np.float32, copy=False)
