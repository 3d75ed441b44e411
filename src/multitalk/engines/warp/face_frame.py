"""A head's own frame of reference, in which its expressions are the same from every side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.smoothing import ramp, smoothstep
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

PROFILE = (40, 60)  # degrees of turn from which on and up to which a face becomes a profile


@dataclass(frozen=True)
class HeadFrame:
    """A head's own axes and sizes, from its landmarks.

    Attributes:
        axes: Rows X (image left to right), Y (down the face), Z (away from the viewer): [3, 3].
        origin: Centre of the face's outline, (x, y, z) pixels.
        local: The landmarks in these axes, pixels, [478, 3].
        width: Cheek to cheek, pixels.
        height: Top of the forehead to the chin, pixels: "one face height".
        mouth_width: Corner to corner, pixels.
        yaw_degrees: Turn about the vertical; 0 looks at the viewer.
    """

    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    local: NDArray[np.float64]
    width: float
    height: float
    mouth_width: float
    yaw_degrees: float

    @classmethod
    def of(cls, face: FaceLandmarks) -> "HeadFrame":
        """The frame of a detected face."""
        points, axes = face.points.astype(np.float64), face.head_axes.astype(np.float64)
        origin = points[list(mesh.OVAL)].mean(0)
        return cls(
            axes=axes,
            origin=origin,
            local=(points - origin) @ axes.T,
            width=face.width,
            height=face.height,
            mouth_width=face.mouth_width * face.height,
            yaw_degrees=face.yaw_degrees,
        )

    @property
    def in_profile(self) -> float:
        """0 for a face that shows both its halves, 1 in profile, where one half is guessed."""
        return ramp(abs(self.yaw_degrees), *PROFILE)


NUM_POINTS = 468  # the mesh without its irises

# Points in the red of the lips, from the person's right to the left, by distance from the inner
# edge; and the points that move with each lip.
UPPER_RED_OUTER = (184, 74, 73, 72, 11, 302, 303, 304, 408)
LOWER_RED_OUTER = (77, 90, 180, 85, 16, 315, 404, 320, 307)
UPPER_RED_INNER = (183, 42, 41, 38, 12, 268, 271, 272, 407)
LOWER_RED_INNER = (96, 89, 179, 86, 15, 316, 403, 319, 325)
MOUTH_CORNERS = (61, 76, 62, 78, 291, 306, 292, 308)
UPPER_LIP = (
    *mesh.LIPS_OUTER_UPPER[1:-1],
    *UPPER_RED_OUTER,
    *UPPER_RED_INNER,
    *mesh.LIPS_INNER_UPPER[1:-1],
)
LOWER_LIP = (
    *mesh.LIPS_OUTER_LOWER[1:-1],
    *LOWER_RED_OUTER,
    *LOWER_RED_INNER,
    *mesh.LIPS_INNER_LOWER[1:-1],
)


@dataclass(frozen=True)
class MouthLayout:
    """Where each landmark lies around the mouth. All arrays are [468].

    Attributes:
        side: 0 at the middle of the mouth, -1 and 1 at its corners.
        below: Distance below the line between the lips, in mouth widths.
        ring: 0 on the inner edge of a lip, 1 on its outer edge.
        arch: 1 at the middle of a lip, 0 at the corners.
        lower: Landmarks of the lower lip, without corners.
        upper: Likewise of the upper lip.
        corner: The corners.
        lip: Any of the three.
        jaw: How much the skin follows the jaw.
        cheek: How much the skin beside the mouth is drawn down by the jaw.
        around: How much the skin follows the lips sideways.
        max_gap: Pixels between the inner lips at `open` = 1.
        rest_gap: Pixels between the inner lips of the photograph at each of the 11 inner points.
        parted: Gap of the photograph at the middle, in mouth widths.
    """

    side: DoubleArray
    below: DoubleArray
    ring: DoubleArray
    arch: DoubleArray
    lower: NDArray[np.bool_]
    upper: NDArray[np.bool_]
    corner: NDArray[np.bool_]
    lip: NDArray[np.bool_]
    jaw: DoubleArray
    cheek: DoubleArray
    around: DoubleArray
    max_gap: float
    rest_gap: DoubleArray
    parted: float

    @classmethod
    def of(cls, frame: HeadFrame) -> "MouthLayout":
        """Measure the layout on a head's landmarks."""
        q = frame.local[:NUM_POINTS]
        middle = (q[mesh.RIGHT_MOUTH_CORNER] + q[mesh.LEFT_MOUTH_CORNER]) / 2
        half_width = abs(q[mesh.LEFT_MOUTH_CORNER, 0] - q[mesh.RIGHT_MOUTH_CORNER, 0]) / 2
        line = (q[mesh.INNER_UPPER_LIP, 1] + q[mesh.INNER_LOWER_LIP, 1]) / 2
        side = (q[:, 0] - middle[0]) / half_width
        below = (q[:, 1] - line) / frame.mouth_width
        ring = np.ones(NUM_POINTS)
        for indices, value in (
            (mesh.LIPS_INNER_UPPER, 0.0),
            (mesh.LIPS_INNER_LOWER, 0.0),
            (UPPER_RED_INNER, 0.33),
            (LOWER_RED_INNER, 0.33),
            (UPPER_RED_OUTER, 0.66),
            (LOWER_RED_OUTER, 0.66),
        ):
            ring[list(indices)] = value
        lower, upper, corner = (_mask(LOWER_LIP), _mask(UPPER_LIP), _mask(MOUTH_CORNERS))
        lip = lower | upper | corner
        beneath = smoothstep(below, -0.05, 0.25)
        near_chin = 1 - smoothstep(np.abs(q[:, 0]) / (frame.width / 2), 0.25, 1.0)
        rest_gap = np.linalg.norm(
            (q[list(mesh.LIPS_INNER_LOWER)] - q[list(mesh.LIPS_INNER_UPPER)])[:, :2], axis=1
        )
        beyond = np.clip(np.abs(side) - 1, 0, None)
        return cls(
            side=side,
            below=below,
            ring=ring,
            arch=np.clip(1 - np.minimum(np.abs(side), 1) ** 2.2, 0, 1) ** 0.75,
            lower=lower,
            upper=upper,
            corner=corner,
            lip=lip,
            jaw=np.where(lip | (below <= 0), 0, beneath * (0.35 + 0.65 * near_chin)),
            cheek=np.where(
                lip,
                0,
                (1 - beneath)
                * smoothstep(below, -0.75, 0)
                * np.exp(-(((np.abs(side) - 1.25) / 0.7) ** 2))
                * 0.28,
            ),
            around=np.where(lip, 1, np.exp(-(beyond**2) / 0.5) * np.exp(-((below / 0.42) ** 2))),
            max_gap=min(0.60 * frame.mouth_width, 0.205 * frame.width),
            rest_gap=rest_gap,
            parted=float(rest_gap[5] / frame.mouth_width),
        )


def _mask(indices: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(NUM_POINTS, bool)
    mask[list(indices)] = True
    return mask
